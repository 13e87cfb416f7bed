-- snapshot: latency histograms per hour; bucket b holds (g^(b-1), g^b] ms with g = 1.01/0.99
SELECT hour AS start, arm, release, segment, eligible, bucket, n FROM rollup_latency ORDER BY start, arm, bucket
