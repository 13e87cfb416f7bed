-- review: sums of the requests of each conversation and week as they were at batch $last_batch; cost in billionths of a dollar, so sums are exact
CREATE OR REPLACE TEMP TABLE review_asked AS
WITH requests AS (
  SELECT i.conversation_id, CASE WHEN i.ts >= $since THEN 1 ELSE 0 END AS week, count(*) AS requests, count(i.error_type) AS failed, count(i.timed_out) AS told,
         count(*) FILTER (i.timed_out) AS timed_out, count(coalesce(i.tokens_in, i.tokens_out)) AS known,
         CAST(coalesce(sum(coalesce(i.tokens_in, 0) + coalesce(i.tokens_out, 0)), 0) AS BIGINT) AS tokens,
         CAST(coalesce(sum(coalesce(i.tokens_in, 0) + coalesce(i.tokens_out, 0)) FILTER (i.cost_usd IS NOT NULL), 0) AS BIGINT) AS priced,
         CAST(coalesce(sum(CAST(round(i.cost_usd * 1e9) AS BIGINT)), 0) AS BIGINT) AS cost,
         count(*) FILTER (coalesce(i.tokens_in, 0) + coalesce(i.tokens_out, 0) > 0) AS used,
         count(*) FILTER (coalesce(i.tokens_in, 0) + coalesce(i.tokens_out, 0) > 0 AND i.cost_usd IS NULL) AS unpriced
  FROM interactions AS i WHERE i.ts >= $before AND i.ts < $until AND i.batch_id <= $last_batch GROUP BY ALL
)
SELECT r.*, c.stratum, c.arm, c.unit, c.is_first FROM requests AS r JOIN review_conversations AS c ON c.conversation_id = r.conversation_id WHERE c.eligible
