-- one conversation for a data-set row: its first question, and what a person said its intent and its routing were
SELECT
  i.conversation_id AS conversation_id,
  arg_min(i.question, i.turn) AS question,
  arg_min(i.channel, i.turn) AS channel,
  arg_min(i.segment, i.turn) AS segment,
  arg_min(i.region, i.turn) AS region,
  coalesce(
    (SELECT max(e.label) FROM evaluations AS e WHERE e.conversation_id = $id AND e.name = 'intent_true'),
    max(i.intent_true)
  ) AS intent_true,
  arg_min(i.intent_pred, i.turn) AS intent_pred
FROM interactions AS i
WHERE i.conversation_id = $id AND i.question IS NOT NULL
GROUP BY i.conversation_id
