-- failed conversations of the assistant in a span of time, the earliest first: judged ungrounded, misrouted, failed, rated 1 or 2, or not resolved
SELECT
  c.conversation_id AS conversation_id,
  arg_min(i.question, i.turn) AS question,
  arg_min(i.channel, i.turn) AS channel,
  arg_min(i.segment, i.turn) AS segment,
  arg_min(i.region, i.turn) AS region,
  coalesce(max(l.intent_true), max(i.intent_true)) AS intent_true,
  arg_min(i.intent_pred, i.turn) AS intent_pred
FROM conversations AS c
JOIN interactions AS i ON i.conversation_id = c.conversation_id
LEFT JOIN (
  SELECT
    e.conversation_id AS conversation_id,
    max(CASE WHEN e.name = 'intent_true' THEN e.label END) AS intent_true,
    bool_or(e.name = 'groundedness' AND e.label = 'ungrounded') AS ungrounded,
    bool_or(e.name = 'safety_route' AND e.label = 'misrouted') AS misrouted
  FROM evaluations AS e
  WHERE e.ts >= $since
  GROUP BY e.conversation_id
) AS l ON l.conversation_id = c.conversation_id
WHERE c.arm = 'assistant' AND c.started_at >= $since AND c.started_at < $until AND i.question IS NOT NULL
  AND (l.ungrounded OR l.misrouted OR c.csat <= 2 OR c.resolved = FALSE)
GROUP BY c.conversation_id, c.started_at
ORDER BY c.started_at, c.conversation_id
LIMIT $limit
