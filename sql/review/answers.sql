-- review: what the assistant said to customers of a rollout since a stage began, oldest first, as it was at batch $last_batch; columns of reviews/answers
SELECT i.interaction_id, i.conversation_id, i.ts, NULL AS question, '' AS answer, i.intent_pred, i.escalated, i.workflow
FROM interactions AS i
JOIN (SELECT x.conversation_id FROM exposures AS x WHERE x.rollout_id = $rollout_id AND x.variant = 'assistant' AND x.batch_id <= $last_batch GROUP BY x.conversation_id) AS c
  ON c.conversation_id = i.conversation_id
WHERE i.ts >= $since AND i.batch_id <= $last_batch AND i.answer IS NOT NULL
ORDER BY i.ts, i.interaction_id
LIMIT 9000
