-- ask: input tokens that were not read from the provider's cache, per model of the assistant's priced requests, with the sums for an interval of a share of their cost
WITH asked AS (
  SELECT coalesce(i.model, '') AS model, CAST(greatest(i.tokens_in - coalesce(i.tokens_cached, 0), 0) AS DOUBLE) AS fresh, i.cost_usd AS cost
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE i.ts >= $since AND i.ts < $until AND c.arm = 'assistant' AND i.tokens_in + i.tokens_out > 0 AND i.cost_usd IS NOT NULL
)
SELECT a.model, count(*) AS requests, sum(a.fresh) AS fresh, sum(a.fresh * a.fresh) AS fresh_sq, sum(a.fresh * a.cost) AS fresh_cost,
       sum(a.cost) AS cost, sum(a.cost * a.cost) AS cost_sq
FROM asked AS a GROUP BY a.model ORDER BY cost DESC, a.model
