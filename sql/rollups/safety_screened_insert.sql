-- conversations per hour of their start by what the safety screen saw and whether a person got them: by that turn ('person'), by a later one ('late'), or not at all
INSERT INTO rollup_safety BY NAME
SELECT date_trunc('hour', c.started_at) AS hour, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release, 'screen' AS basis,
       coalesce(c.safety_route, 'none') AS screened, 'unsaid' AS named,
       CASE WHEN c.escalated_at IS NULL AND NOT coalesce(c.escalated, FALSE) THEN 'nobody' WHEN c.escalated_key > c.route_key THEN 'late' ELSE 'person' END AS reached,
       count(*) AS n, CAST(count(*) AS DOUBLE) AS weight, CAST(count(*) AS DOUBLE) AS weight_sq
FROM conversations AS c
WHERE c.started_at IS NOT NULL
  AND c.started_at >= date_trunc('hour', $since) AND c.started_at < date_trunc('hour', $until) + INTERVAL 1 HOUR
  AND date_trunc('hour', c.started_at) IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'conversation')
GROUP BY ALL
ORDER BY hour
