-- trade-off: the assistant's model requests by whether an earlier one within the window had the same predicted intent (p >= .7), and the same words too
-- Release, code version and model together stand for the knowledge version: a cache starts empty when one of them changes.
WITH asked AS (
  SELECT i.ts, i.cost_usd, i.intent_pred, coalesce(i.intent_conf, 0.0) >= 0.7 AND i.safety_route IS NULL AND i.workflow IS NULL AS certain,
         coalesce(i.release, '') AS release, coalesce(i.agent_version, '') AS code, coalesce(i.model, '') AS model,
         trim(regexp_replace(lower(coalesce(i.question, '')), '[^\p{L}\p{N}]+', ' ', 'g')) AS words, i.interaction_id
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE i.ts >= $since AND i.ts < $until AND c.arm = 'assistant' AND i.tokens_in + i.tokens_out > 0
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout) AND ($release = '' OR c.release IS NULL OR c.release = $release)
), before AS (
  SELECT a.cost_usd, a.certain AND a.intent_pred IS NOT NULL AS certain, a.words <> '' AS has_words, a.ts,
         lag(a.ts) OVER (PARTITION BY a.certain, a.intent_pred, a.release, a.code, a.model ORDER BY a.ts, a.interaction_id) AS same_intent,
         lag(a.ts) OVER (PARTITION BY a.certain, a.intent_pred, a.release, a.code, a.model, a.words ORDER BY a.ts, a.interaction_id) AS same_words
  FROM asked AS a
)
SELECT coalesce(b.certain AND b.ts - b.same_intent <= $cache_seconds * INTERVAL 1 SECOND, FALSE) AS intent_repeated,
       coalesce(b.certain AND b.has_words AND b.ts - b.same_words <= $cache_seconds * INTERVAL 1 SECOND, FALSE) AS words_repeated,
       count(*) AS requests, count(b.cost_usd) AS priced, coalesce(sum(b.cost_usd), 0.0) AS cost, coalesce(sum(b.cost_usd * b.cost_usd), 0.0) AS cost_sq
FROM before AS b GROUP BY intent_repeated, words_repeated ORDER BY intent_repeated, words_repeated
