-- past conversations as data-set rows, whoever served them: the first question and the true intent where a person has named it
SELECT
  i.conversation_id AS conversation_id,
  arg_min(i.question, i.turn) AS question,
  arg_min(i.channel, i.turn) AS channel,
  arg_min(i.segment, i.turn) AS segment,
  arg_min(i.region, i.turn) AS region,
  coalesce(max(l.intent_true), max(i.intent_true)) AS intent_true,
  arg_min(i.intent_pred, i.turn) AS intent_pred
FROM interactions AS i
LEFT JOIN (
  SELECT e.conversation_id AS conversation_id, max(e.label) AS intent_true
  FROM evaluations AS e
  WHERE e.name = 'intent_true'
  GROUP BY e.conversation_id
) AS l ON l.conversation_id = i.conversation_id
WHERE i.question IS NOT NULL
GROUP BY i.conversation_id
ORDER BY hash(i.conversation_id), i.conversation_id
LIMIT $limit
