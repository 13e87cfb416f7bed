-- trade-off: latency of the first request of each treated conversation: how many there are, how many exceed the objective, the 95th percentile
WITH firsts AS (
  SELECT i.latency_ms, row_number() OVER (PARTITION BY i.conversation_id ORDER BY i.ts, i.turn, i.interaction_id) AS place
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE i.ts >= $since AND i.ts < $until AND c.started_at >= $since AND c.started_at < $until AND c.arm = 'assistant' AND coalesce(c.eligible, TRUE)
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout) AND ($release = '' OR c.release IS NULL OR c.release = $release)
)
SELECT count(f.latency_ms) AS requests, count(CASE WHEN f.latency_ms > $slo_ms THEN 1 END) AS slow, quantile_disc(f.latency_ms, 0.95) AS p95_ms
FROM firsts AS f WHERE f.place = 1
