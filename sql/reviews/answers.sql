-- what the assistant said to customers of a rollout since a stage began, oldest first: the answers that a reviewer may be shown
SELECT
  i.interaction_id AS interaction_id,
  i.conversation_id AS conversation_id,
  i.ts AS ts,
  i.question AS question,
  i.answer AS answer,
  i.intent_pred AS intent_pred,
  i.escalated AS escalated,
  i.workflow AS workflow
FROM interactions AS i
JOIN conversations AS c ON c.conversation_id = i.conversation_id
WHERE c.arm = 'assistant' AND c.rollout_id = $rollout_id AND i.ts >= $since AND i.answer IS NOT NULL
ORDER BY i.ts, i.interaction_id
LIMIT 9000
