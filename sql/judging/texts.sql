-- judging: what a judge reads of the sampled answers, all given since $since
SELECT i.interaction_id AS interaction_id, i.conversation_id AS conversation_id, i.question AS question, i.answer AS answer, i.sources AS sources,
       i.intent_pred AS intent_pred, i.intent_conf AS intent_conf
FROM interactions AS i
WHERE i.ts >= $since AND i.interaction_id IN (SELECT unnest(CAST($ids AS VARCHAR[])))
ORDER BY i.ts, i.interaction_id
