-- pages: requests (per arm) and calls of each dependency (all arms together) per bin of $bin_seconds over [$since, $until): how many, how many failed or timed out,
-- how many told a latency, its sum in ms, and the counts per latency bucket (b holds (g^(b-1), g^b] ms, g = 1.01/0.99) as two parallel lists
WITH chosen AS (
  SELECT kind, name, CASE WHEN kind = 'request' THEN arm ELSE 'all' END AS arm, time_bucket(to_seconds($bin_seconds), start) AS start,
         calls, failed, timed_out, timed, total_ms, buckets
  FROM services WHERE start >= $since AND start < $until AND (eligible OR kind <> 'request')
), sums AS (
  SELECT kind, name, arm, start, CAST(sum(calls) AS BIGINT) AS calls, CAST(sum(failed) AS BIGINT) AS failed, CAST(sum(timed_out) AS BIGINT) AS timed_out,
         CAST(sum(timed) AS BIGINT) AS timed, sum(total_ms) AS total_ms
  FROM chosen GROUP BY ALL
), counted AS (
  SELECT kind, name, arm, start, unnest(map_entries(buckets)) AS one FROM chosen
), merged AS (
  SELECT kind, name, arm, start, one.key AS bucket, CAST(sum(one.value) AS BIGINT) AS n FROM counted GROUP BY ALL
), lists AS (
  SELECT kind, name, arm, start, list(bucket ORDER BY bucket) AS buckets, list(n ORDER BY bucket) AS counts FROM merged GROUP BY ALL
)
SELECT s.kind, s.name, s.arm, s.start, s.calls, s.failed, s.timed_out, s.timed, s.total_ms,
       coalesce(l.buckets, CAST([] AS INTEGER[])) AS buckets, coalesce(l.counts, CAST([] AS BIGINT[])) AS counts
FROM sums AS s LEFT JOIN lists AS l ON l.kind = s.kind AND l.name = s.name AND l.arm = s.arm AND l.start = s.start
ORDER BY s.kind, s.name, s.arm, s.start
