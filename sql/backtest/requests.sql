-- the first request of each numbered conversation, within an hour of its start; -1 where a value is unknown
WITH request AS (
  SELECT c.place, epoch_us(i.ts) AS time, coalesce(i.latency_ms, -1) AS latency_ms, coalesce(i.cost_usd, -1) AS cost_usd,
         CASE WHEN i.timed_out IS NULL THEN -1 WHEN i.timed_out THEN 1 ELSE 0 END AS timed_out, CASE WHEN i.error_type IS NULL THEN 0 ELSE 1 END AS failed,
         row_number() OVER (PARTITION BY i.conversation_id ORDER BY i.ts, i.turn, i.interaction_id) AS rank
  FROM backtest_conversations AS c
  JOIN interactions AS i ON i.conversation_id = c.conversation_id AND i.ts >= c.started_at AND i.ts <= c.started_at + INTERVAL 1 HOUR
)
SELECT place, time, latency_ms, cost_usd, timed_out, failed FROM request WHERE rank = 1 ORDER BY place
