-- trade-off: per arm the sums of model cost, resolved and handed over conversations that are mature, with squares and products for the interval of their ratio
WITH calls AS (
  SELECT i.conversation_id, sum(i.cost_usd) AS cost, count(CASE WHEN i.tokens_in + i.tokens_out > 0 THEN 1 END) AS requests,
         count(CASE WHEN i.tokens_in + i.tokens_out > 0 AND i.cost_usd IS NULL THEN 1 END) AS unpriced
  FROM interactions AS i WHERE i.ts >= $since AND i.ts < $until GROUP BY i.conversation_id
), told AS (
  SELECT c.arm, coalesce(k.cost, 0.0) AS cost, coalesce(k.requests, 0) AS requests, coalesce(k.unpriced, 0) AS unpriced,
         c.escalated_at IS NOT NULL AND c.escalated_at <= c.started_at + $maturity * INTERVAL 1 SECOND AS person,
         c.resolved IS NOT NULL AND c.resolved_at <= c.started_at + $maturity * INTERVAL 1 SECOND AS told,
         coalesce(c.resolved, FALSE) AS resolved
  FROM conversations AS c LEFT JOIN calls AS k ON k.conversation_id = c.conversation_id
  WHERE c.started_at >= $since AND c.started_at < $until - $maturity * INTERVAL 1 SECOND AND c.arm IS NOT NULL AND coalesce(c.eligible, TRUE)
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout)
    AND (c.arm = 'baseline' OR $release = '' OR c.release IS NULL OR c.release = $release)
)
SELECT t.arm, count(*) AS conversations, count(CASE WHEN t.told THEN 1 END) AS outcomes, count(CASE WHEN t.told AND t.resolved AND NOT t.person THEN 1 END) AS resolved,
       count(CASE WHEN t.person THEN 1 END) AS persons, sum(t.cost) AS cost, sum(t.cost * t.cost) AS cost_sq,
       coalesce(sum(CASE WHEN t.told AND t.resolved AND NOT t.person THEN t.cost END), 0.0) AS cost_resolved,
       coalesce(sum(CASE WHEN t.person THEN t.cost END), 0.0) AS cost_persons,
       CAST(sum(t.requests) AS BIGINT) AS requests, CAST(sum(t.unpriced) AS BIGINT) AS unpriced
FROM told AS t GROUP BY t.arm ORDER BY t.arm
