-- ask: the newest messages of [$since, $until) that the classifier took for $predicted and that a person, or the log, calls $truth; the question as stored (masked)
WITH named AS (
  SELECT e.interaction_id, arg_min(e.evaluator, e.ts) AS by
  FROM evaluations AS e
  WHERE e.name = 'intent_true' AND e.label = $truth AND e.evaluator LIKE 'human:%' AND e.interaction_id IS NOT NULL AND e.ts >= $since
  GROUP BY e.interaction_id
)
SELECT i.conversation_id, i.ts, i.question, i.intent_conf AS confidence, coalesce(n.by, 'log') AS by, count(*) OVER () AS among
FROM interactions AS i
LEFT JOIN named AS n ON n.interaction_id = i.interaction_id
LEFT JOIN conversations AS c ON c.conversation_id = i.conversation_id
WHERE i.ts >= $since AND i.ts < $until AND i.intent_pred = $predicted AND (n.interaction_id IS NOT NULL OR i.intent_true = $truth)
  AND coalesce(c.arm, i.arm) = 'assistant' AND ($release = '' OR coalesce(c.release, i.release) = $release)
ORDER BY i.ts DESC, i.interaction_id
LIMIT $most
