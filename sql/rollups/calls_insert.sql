-- call family: sums per minute of the call; a call failed when it ended in an error or timed out
INSERT INTO rollup_minute BY NAME
WITH calls AS (
  SELECT 'api_error_rate' AS metric, ts, conversation_id, CASE WHEN error_type IS NOT NULL OR timed_out THEN 1 ELSE 0 END AS failed
  FROM model_calls WHERE ts >= $since AND ts < $until + INTERVAL 1 MINUTE
  UNION ALL
  SELECT 'dependency_failure_rate' AS metric, ts, conversation_id, CASE WHEN error_type IS NOT NULL OR timed_out THEN 1 ELSE 0 END AS failed
  FROM dependency_calls WHERE ts >= $since AND ts < $until + INTERVAL 1 MINUTE
)
SELECT date_trunc('minute', k.ts) AS minute, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release,
       coalesce(c.phase, 'unknown') AS phase, coalesce(c.segment, 'unknown') AS segment, coalesce(c.eligible, TRUE) AS eligible,
       'activity' AS family, k.metric, count(*) AS n, CAST(sum(k.failed) AS BIGINT) AS x, 0.0 AS total, 0.0 AS total_sq
FROM calls AS k
LEFT JOIN conversations AS c
  ON c.conversation_id = k.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
 AND c.started_at >= k.ts - INTERVAL 2 DAY AND c.started_at <= k.ts + INTERVAL 1 HOUR
WHERE date_trunc('minute', k.ts) IN (SELECT minute FROM rollup_stale WHERE family = 'activity')
GROUP BY ALL
ORDER BY minute
