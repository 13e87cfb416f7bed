-- whole hours of [$since, $until) whose rolled-up intents differ from the facts, leaving out those that wait to be rolled up
WITH facts AS (
  SELECT date_trunc('hour', ts) AS hour, count(*) AS n FROM interactions
  WHERE ts >= $since AND ts < $until AND intent_pred IS NOT NULL GROUP BY date_trunc('hour', ts)
), sums AS (
  SELECT hour, CAST(sum(n) AS BIGINT) AS n FROM rollup_intent WHERE hour >= $since AND hour < $until GROUP BY hour
)
SELECT coalesce(f.hour, s.hour) AS hour, coalesce(f.n, 0) AS facts, coalesce(s.n, 0) AS rollups
FROM facts AS f FULL JOIN sums AS s ON s.hour = f.hour
WHERE coalesce(f.n, 0) <> coalesce(s.n, 0) AND coalesce(f.hour, s.hour) >= $since AND coalesce(f.hour, s.hour) + INTERVAL 1 HOUR <= $until
  AND coalesce(f.hour, s.hour) NOT IN (SELECT date_trunc('hour', minute) FROM touched_minutes)
ORDER BY hour
