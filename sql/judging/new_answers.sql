-- judging: answers that the assistant gave to eligible customers of a rollout, stored by batches ($after_batch, $last_batch], without a groundedness label
-- Workflows, hand-overs and courtesies claim nothing that pages could bear out; a producer that logs no kind means answers.
SELECT i.interaction_id AS interaction_id, i.ts AS ts
FROM interactions AS i
JOIN conversations AS c ON c.conversation_id = i.conversation_id AND c.started_at >= CAST($since AS TIMESTAMP) - INTERVAL 2 DAY
WHERE i.ts >= $since AND i.batch_id > $after_batch AND i.batch_id <= $last_batch
  AND c.arm = 'assistant' AND coalesce(c.eligible, TRUE)
  AND (c.rollout_id IS NULL OR c.rollout_id = $rollout_id) AND (c.release IS NULL OR c.release = $release)
  AND i.answer IS NOT NULL AND coalesce(json_extract_string(i.extra, '$.kind'), 'answer') = 'answer'
  AND NOT list_contains(coalesce(json_extract_string(i.extra, '$.steps[*].verdict'), []), 'small_talk')
  AND NOT EXISTS (SELECT 1 FROM evaluations AS e WHERE e.interaction_id = i.interaction_id AND e.name = 'groundedness' AND e.ts >= CAST($since AS TIMESTAMP) - INTERVAL 1 DAY)
ORDER BY i.ts, i.interaction_id
