-- five minutes of [$since, $until) whose rolled-up requests or calls of a dependency differ from the facts, leaving out those that wait to be rolled up
WITH facts AS (
  SELECT time_bucket(INTERVAL 5 MINUTE, ts) AS slot, name, count(*) AS n
  FROM (
    SELECT ts, 'request' AS name FROM interactions WHERE ts >= $since AND ts < $until
    UNION ALL
    SELECT ts, coalesce(dependency, 'unknown') AS name FROM dependency_calls WHERE ts >= $since AND ts < $until
  ) AS told GROUP BY ALL
), sums AS (
  SELECT slot, name, CAST(sum(calls) AS BIGINT) AS n FROM rollup_service WHERE slot >= $since AND slot < $until GROUP BY ALL
)
SELECT coalesce(f.slot, s.slot) AS slot, coalesce(f.name, s.name) AS name, coalesce(f.n, 0) AS facts, coalesce(s.n, 0) AS rollups
FROM facts AS f FULL JOIN sums AS s ON s.slot = f.slot AND s.name = f.name
WHERE coalesce(f.n, 0) <> coalesce(s.n, 0)
  AND coalesce(f.slot, s.slot) NOT IN (SELECT time_bucket(INTERVAL 5 MINUTE, minute) FROM touched_minutes)
  AND coalesce(f.slot, s.slot) >= $since AND coalesce(f.slot, s.slot) + INTERVAL 5 MINUTE <= $until
ORDER BY slot, name
