-- pages: latency histogram per hour and arm over [$since, $until): requests per logarithmic bucket
SELECT start, arm, bucket, CAST(sum(n) AS BIGINT) AS n FROM latency
WHERE start >= $since AND start < $until AND eligible GROUP BY ALL ORDER BY start, arm, bucket
