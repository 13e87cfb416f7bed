-- minutes of [$since, $until) whose rolled-up conversations differ from the facts, leaving out those that wait to be rolled up
WITH facts AS (
  SELECT date_trunc('minute', started_at) AS minute, count(*) AS n FROM conversations
  WHERE started_at >= $since AND started_at < $until GROUP BY date_trunc('minute', started_at)
), sums AS (
  SELECT minute, CAST(sum(n) AS BIGINT) AS n FROM rollup_minute
  WHERE metric = 'traffic_volume' AND minute >= $since AND minute < $until GROUP BY minute
)
SELECT coalesce(f.minute, s.minute) AS minute, coalesce(f.n, 0) AS facts, coalesce(s.n, 0) AS rollups
FROM facts AS f FULL JOIN sums AS s ON s.minute = f.minute
WHERE coalesce(f.n, 0) <> coalesce(s.n, 0)
  AND coalesce(f.minute, s.minute) NOT IN (SELECT date_trunc('minute', minute) FROM touched_minutes)
ORDER BY minute
