-- the questions behind these answers, for rows of data sets, with the slices they belong to
SELECT i.interaction_id, i.conversation_id, i.question, i.channel, i.segment, i.region
FROM interactions AS i
WHERE i.interaction_id IN (SELECT unnest(CAST($ids AS VARCHAR[]))) AND i.question IS NOT NULL
ORDER BY i.interaction_id
