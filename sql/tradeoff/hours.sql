-- trade-off: tokens and cost of the assistant's model requests per hour of the window
SELECT date_diff('hour', date_trunc('hour', CAST($since AS TIMESTAMP)), date_trunc('hour', i.ts)) AS hour, count(*) AS requests,
       CAST(sum(i.tokens_in + i.tokens_out) AS BIGINT) AS tokens,
       CAST(coalesce(sum(CASE WHEN i.cost_usd IS NOT NULL THEN i.tokens_in + i.tokens_out END), 0) AS BIGINT) AS tokens_priced, coalesce(sum(i.cost_usd), 0.0) AS cost
FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
WHERE i.ts >= $since AND i.ts < $until AND c.arm = 'assistant' AND i.tokens_in + i.tokens_out > 0
  AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout) AND ($release = '' OR c.release IS NULL OR c.release = $release)
GROUP BY hour ORDER BY hour
