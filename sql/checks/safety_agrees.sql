-- whole hours of [$since, $until) whose screened conversations differ from the facts, in all or among those that a person got, leaving out those that wait to be rolled up
WITH facts AS (
  SELECT date_trunc('hour', started_at) AS hour, count(*) AS n, count(CASE WHEN escalated_at IS NOT NULL OR escalated THEN 1 END) AS person FROM conversations
  WHERE started_at >= $since AND started_at < $until GROUP BY date_trunc('hour', started_at)
), sums AS (
  SELECT hour, CAST(sum(n) AS BIGINT) AS n, CAST(coalesce(sum(n) FILTER (WHERE reached <> 'nobody'), 0) AS BIGINT) AS person FROM rollup_safety
  WHERE basis = 'screen' AND hour >= $since AND hour < $until GROUP BY hour
)
SELECT coalesce(f.hour, s.hour) AS hour, coalesce(f.n, 0) AS facts, coalesce(s.n, 0) AS rollups, coalesce(f.person, 0) AS person, coalesce(s.person, 0) AS person_rolled
FROM facts AS f FULL JOIN sums AS s ON s.hour = f.hour
WHERE (coalesce(f.n, 0) <> coalesce(s.n, 0) OR coalesce(f.person, 0) <> coalesce(s.person, 0))
  AND coalesce(f.hour, s.hour) >= $since AND coalesce(f.hour, s.hour) + INTERVAL 1 HOUR <= $until
  AND coalesce(f.hour, s.hour) NOT IN (SELECT date_trunc('hour', minute) FROM touched_minutes)
ORDER BY hour
