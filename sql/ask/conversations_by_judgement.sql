-- ask: the newest conversations since $since of which a judge said the kind: 'ungrounded' (the label), 'misrouted' (a person's label), 'misunderstood' (a person named another intent than
-- was predicted or, where no person spoke, the log does)
WITH judged AS (
  SELECT e.conversation_id AS told_id, e.interaction_id, e.ts, e.label, e.name, e.evaluator
  FROM evaluations AS e
  WHERE e.ts >= $since
    AND CASE $kind WHEN 'ungrounded' THEN e.name = 'groundedness' AND e.label = 'ungrounded'
                   WHEN 'misrouted' THEN e.name = 'safety_route' AND e.label = 'misrouted' AND e.evaluator LIKE 'human:%'
                   WHEN 'misunderstood' THEN e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL ELSE FALSE END
), said AS (
  SELECT coalesce(j.told_id, i.conversation_id) AS conversation_id, max(j.ts) AS judged_at,
         arg_max(CASE WHEN $kind = 'misunderstood' THEN concat(coalesce(i.intent_pred, 'unknown'), ' > ', j.label) END, j.ts) AS detail
  FROM judged AS j LEFT JOIN interactions AS i ON i.interaction_id = j.interaction_id
  WHERE $kind <> 'misunderstood' OR j.label <> i.intent_pred
  GROUP BY 1
  UNION ALL
  SELECT i.conversation_id, max(i.ts) AS judged_at, arg_max(concat(i.intent_pred, ' > ', i.intent_true), i.ts) AS detail
  FROM interactions AS i
  WHERE $kind = 'misunderstood' AND i.ts >= $since AND i.intent_true <> i.intent_pred
    AND NOT EXISTS (SELECT 1 FROM judged AS j WHERE j.interaction_id = i.interaction_id)
  GROUP BY i.conversation_id
), hits AS (
  SELECT conversation_id, arg_max(detail, judged_at) AS detail FROM said GROUP BY conversation_id
)
SELECT c.conversation_id, c.started_at, c.arm, c.release, c.phase, c.intent_first AS intent, c.turns, c.csat, c.cost_usd, h.detail, count(*) OVER () AS among
FROM hits AS h JOIN conversations AS c ON c.conversation_id = h.conversation_id
WHERE $arm = '' OR c.arm = $arm
ORDER BY c.started_at DESC, c.conversation_id LIMIT $most
