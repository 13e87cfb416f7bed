-- requests and calls of dependencies per five minutes: how many failed or timed out, and how long they took in log buckets (1 % relative error)
INSERT INTO rollup_service BY NAME
WITH told AS (
  SELECT 'request' AS kind, 'request' AS name, ts, conversation_id, arm, latency_ms, error_type, timed_out FROM interactions
  WHERE ts >= time_bucket(INTERVAL 5 MINUTE, $since) AND ts < time_bucket(INTERVAL 5 MINUTE, $until) + INTERVAL 5 MINUTE
  UNION ALL
  SELECT 'dependency' AS kind, coalesce(dependency, 'unknown') AS name, ts, conversation_id, NULL AS arm, latency_ms, error_type, timed_out FROM dependency_calls
  WHERE ts >= time_bucket(INTERVAL 5 MINUTE, $since) AND ts < time_bucket(INTERVAL 5 MINUTE, $until) + INTERVAL 5 MINUTE
), placed AS (
  SELECT time_bucket(INTERVAL 5 MINUTE, t.ts) AS slot, t.kind, t.name, coalesce(c.arm, t.arm, 'unknown') AS arm, coalesce(c.eligible, TRUE) AS eligible,
         CASE WHEN t.error_type IS NOT NULL OR t.timed_out THEN 1 ELSE 0 END AS failed, CASE WHEN t.timed_out THEN 1 ELSE 0 END AS timed_out, t.latency_ms,
         CASE WHEN t.latency_ms IS NOT NULL THEN CAST(ceil(ln(greatest(t.latency_ms, 0.001)) / ln(1.01 / 0.99)) AS INTEGER) END AS bucket
  FROM told AS t
  LEFT JOIN conversations AS c
    ON c.conversation_id = t.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
   AND c.started_at >= t.ts - INTERVAL 2 DAY AND c.started_at <= t.ts + INTERVAL 1 HOUR
)
SELECT slot, kind, name, arm, eligible, count(*) AS calls, CAST(sum(failed) AS BIGINT) AS failed, CAST(sum(timed_out) AS BIGINT) AS timed_out,
       count(latency_ms) AS timed, coalesce(sum(latency_ms), 0.0) AS total_ms,
       coalesce(histogram(bucket) FILTER (WHERE bucket IS NOT NULL), MAP {}) AS buckets
FROM placed
WHERE slot IN (SELECT time_bucket(INTERVAL 5 MINUTE, minute) FROM rollup_stale WHERE family = 'activity')
GROUP BY ALL
ORDER BY slot
