-- ask: what the first request of the assistant's conversations cost: how many are priced, how many are dearer than $cap, quantiles, the dearest
WITH firsts AS (
  SELECT i.cost_usd, row_number() OVER (PARTITION BY i.conversation_id ORDER BY i.ts, i.turn, i.interaction_id) AS place
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE i.ts >= $since AND i.ts < $until AND c.started_at >= $since AND c.started_at < $until AND c.arm = 'assistant' AND coalesce(c.eligible, TRUE)
)
SELECT count(f.cost_usd) AS priced, count(CASE WHEN f.cost_usd > CAST($cap AS DOUBLE) THEN 1 END) AS dear, quantile_disc(f.cost_usd, 0.5) AS median, quantile_disc(f.cost_usd, 0.95) AS p95,
       quantile_disc(f.cost_usd, 0.99) AS p99, max(f.cost_usd) AS most
FROM firsts AS f WHERE f.place = 1
