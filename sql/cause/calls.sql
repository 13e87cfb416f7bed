-- cause: calls of models and dependencies by the conversations of cause_units per name, arm and window: how many, how many failed or timed out, and sums of the logarithm of their latency
WITH calls AS (
  SELECT 'dependency' AS kind, dependency AS name, conversation_id, latency_ms, error_type, timed_out FROM dependency_calls
  WHERE ts >= $since AND ts < CAST($until AS TIMESTAMP) + INTERVAL 1 HOUR AND dependency IS NOT NULL
  UNION ALL
  SELECT 'model' AS kind, model AS name, conversation_id, latency_ms, error_type, timed_out FROM model_calls
  WHERE ts >= $since AND ts < CAST($until AS TIMESTAMP) + INTERVAL 1 HOUR AND model IS NOT NULL
)
SELECT k.kind AS kind, k.name AS name, u.arm AS arm, u.late AS late, count(*) AS n,
  sum(CASE WHEN k.error_type IS NOT NULL OR k.timed_out THEN 1 ELSE 0 END) AS failed,
  count(CASE WHEN k.latency_ms > 0 THEN 1 END) AS n_latency, sum(CASE WHEN k.latency_ms > 0 THEN ln(k.latency_ms) END) AS latency,
  sum(CASE WHEN k.latency_ms > 0 THEN ln(k.latency_ms) * ln(k.latency_ms) END) AS latency_sq
FROM calls AS k JOIN cause_units AS u ON u.conversation_id = k.conversation_id
GROUP BY k.kind, k.name, u.arm, u.late
ORDER BY k.kind, k.name, u.arm, u.late
