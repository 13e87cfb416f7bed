-- what a reviewer reads of these answers, and nothing of what anybody or any machine said about them
SELECT i.interaction_id, i.conversation_id, i.turn, i.ts, i.question, i.answer, i.workflow, i.escalated, i.sources
FROM interactions AS i
WHERE i.interaction_id IN (SELECT unnest(CAST($ids AS VARCHAR[])))
ORDER BY i.ts, i.interaction_id
