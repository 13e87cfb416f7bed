-- trade-off: the assistant's model requests by predicted intent, certainty (rounded down to .1), words of the question (rounded up to 10), fit of the passages and model
-- fit: the retrieval score rounded down to 0, 1, 2, 4, 8; 0 where it was not logged, so that an unknown fit makes a request no easier.
WITH asked AS (
  SELECT coalesce(i.intent_pred, '') AS intent, floor(coalesce(i.intent_conf, 0.0) * 10 + 1e-9) / 10 AS certainty,
         CAST(least(60, 10 * ceil((length(trim(coalesce(i.question, ''))) - length(replace(trim(coalesce(i.question, '')), ' ', '')) + 1) / 10.0)) AS INTEGER) AS words,
         coalesce(try_cast(json_extract_string(list_filter(CAST(json_extract(i.extra, '$.steps') AS JSON[]), lambda s: json_extract_string(s, '$.step') = 'retrieval')[1], '$.score') AS DOUBLE), 0.0) AS fit,
         coalesce(i.model, '') AS model, i.safety_route IS NOT NULL OR i.workflow IS NOT NULL AS special,
         i.tokens_in, coalesce(i.tokens_cached, 0) AS tokens_cached, i.tokens_out, i.cost_usd
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE i.ts >= $since AND i.ts < $until AND c.arm = 'assistant' AND i.tokens_in + i.tokens_out > 0
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout) AND ($release = '' OR c.release IS NULL OR c.release = $release)
)
SELECT a.intent, a.certainty, a.words, CASE WHEN a.fit >= 8 THEN 8.0 WHEN a.fit >= 4 THEN 4.0 WHEN a.fit >= 2 THEN 2.0 WHEN a.fit >= 1 THEN 1.0 ELSE 0.0 END AS fit,
       a.model, a.special, count(*) AS requests, count(a.cost_usd) AS priced,
       CAST(sum(a.tokens_in) AS BIGINT) AS tokens_in, CAST(sum(a.tokens_cached) AS BIGINT) AS tokens_cached, CAST(sum(a.tokens_out) AS BIGINT) AS tokens_out,
       coalesce(sum(a.cost_usd), 0.0) AS cost, coalesce(sum(a.cost_usd * a.cost_usd), 0.0) AS cost_sq
FROM asked AS a GROUP BY ALL ORDER BY a.intent, a.certainty, a.words, fit, a.model, a.special
