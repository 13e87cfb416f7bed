-- where these evaluations lead: conversations that the assistant served under one of these rollouts; the intent is that of the first message (before
-- any arm was drawn), else what the assistant took the answer's message for
WITH severe AS MATERIALIZED (
  SELECT evaluation_id, interaction_id, conversation_id, score, ts, evaluator FROM evaluations WHERE list_contains(CAST($evaluations AS VARCHAR[]), evaluation_id)
), answered AS MATERIALIZED (
  SELECT interaction_id, conversation_id, intent_pred FROM interactions WHERE interaction_id IN (SELECT interaction_id FROM severe)
), placed AS MATERIALIZED (
  SELECT s.evaluation_id, coalesce(s.conversation_id, a.conversation_id) AS conversation_id, a.intent_pred, s.score, s.ts, s.evaluator
  FROM severe AS s LEFT JOIN answered AS a ON a.interaction_id = s.interaction_id
)
SELECT p.evaluation_id, p.conversation_id, coalesce(c.intent_first, p.intent_pred) AS intent, p.score, p.ts AS confirmed_at, p.evaluator
FROM placed AS p JOIN conversations AS c ON c.conversation_id = p.conversation_id
WHERE c.arm = 'assistant' AND (list_contains(CAST($rollout_ids AS VARCHAR[]), c.rollout_id) OR (c.rollout_id IS NULL AND c.started_at >= $since))
ORDER BY p.ts, p.evaluation_id
