-- ask: answers given in [$since, $until) that a person called misrouted (drawn at random or picked for a reason), newest first: the intent that a person named, what the screen saw, and whether a person got the conversation after all
WITH called AS (
  SELECT e.interaction_id, e.conversation_id, min(e.ts) AS judged_at, arg_min(e.evaluator, e.ts) AS by, bool_and(starts_with(e.evaluation_id, 'targeted:')) AS picked
  FROM evaluations AS e
  WHERE e.name = 'safety_route' AND e.label = 'misrouted' AND e.evaluator LIKE 'human:%' AND e.ts >= $since
  GROUP BY e.interaction_id, e.conversation_id
), named AS (
  SELECT e.interaction_id, arg_min(e.label, e.ts) AS intent
  FROM evaluations AS e
  WHERE e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.ts >= $since AND e.interaction_id IN (SELECT interaction_id FROM called)
  GROUP BY e.interaction_id
), placed AS (
  SELECT coalesce(k.conversation_id, i.conversation_id) AS conversation_id, i.ts AS answered_at, k.judged_at, k.by, k.picked, n.intent
  FROM called AS k
  LEFT JOIN interactions AS i ON i.interaction_id = k.interaction_id
  LEFT JOIN named AS n ON n.interaction_id = k.interaction_id
)
SELECT p.conversation_id, coalesce(p.answered_at, c.started_at) AS started_at, c.arm, c.release, c.safety_route AS category, p.intent, p.by, p.picked, c.escalated_at,
       c.escalated_at IS NOT NULL OR coalesce(c.escalated, FALSE) AS person, count(*) OVER () AS among
FROM placed AS p JOIN conversations AS c ON c.conversation_id = p.conversation_id
WHERE coalesce(p.answered_at, c.started_at) >= $since AND coalesce(p.answered_at, c.started_at) < $until
  AND ($arm = '' OR c.arm = $arm) AND ($release = '' OR c.release = $release)
ORDER BY started_at DESC, p.conversation_id
LIMIT $most
