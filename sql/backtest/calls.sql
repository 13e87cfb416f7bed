-- every model or dependency call of the numbered conversations; it failed when it ended in an error or timed out
WITH call AS (
  SELECT 'api_error_rate' AS metric, ts, conversation_id, error_type IS NOT NULL OR coalesce(timed_out, FALSE) AS hit FROM model_calls
  UNION ALL
  SELECT 'dependency_failure_rate' AS metric, ts, conversation_id, error_type IS NOT NULL OR coalesce(timed_out, FALSE) AS hit FROM dependency_calls
)
SELECT c.place, epoch_us(k.ts) AS time, CASE WHEN k.hit THEN 1 ELSE 0 END AS hit
FROM call AS k
JOIN backtest_conversations AS c ON c.conversation_id = k.conversation_id
                                AND c.started_at >= k.ts - INTERVAL 2 DAY AND c.started_at <= k.ts + INTERVAL 1 HOUR
WHERE k.metric = $metric
ORDER BY c.place, k.ts
