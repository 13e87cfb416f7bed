-- questions that the assistant did not deal with, one a conversation (its longest message, the most telling one), begun in [$since, $until): why it counts, and who asked
-- A hand-over that is as it should be (a mandatory category, a customer's wish, a call already with a person, an attack, execution switched off) is no gap in the knowledge.
WITH asked AS (
  SELECT i.conversation_id,
         arg_max(i.interaction_id, struct_pack(l := length(i.question), t := -i.turn)) AS interaction_id,
         arg_max(i.question, struct_pack(l := length(i.question), t := -i.turn)) AS question,
         min(i.intent_conf) AS confidence,
         coalesce(bool_or(i.intent_pred = 'out_of_scope'), FALSE) AS beyond,
         coalesce(bool_or(i.escalated), FALSE) AS escalated
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE c.arm = 'assistant' AND c.started_at >= $since AND c.started_at < $until AND i.question IS NOT NULL
  GROUP BY i.conversation_id
), told AS (
  SELECT e.conversation_id, bool_or(e.label = 'out_of_scope') AS beyond
  FROM evaluations AS e
  WHERE e.name = 'intent_true' AND e.ts >= $since AND e.conversation_id IN (SELECT conversation_id FROM asked)
  GROUP BY e.conversation_id
), flagged AS (
  SELECT a.interaction_id, a.conversation_id, a.question, coalesce(c.user_id, c.conversation_id) AS customer, c.started_at,
         (a.escalated OR c.escalated_at IS NOT NULL)
           AND coalesce(c.escalation_reason, '') NOT IN ('mandatory_category', 'agent_request', 'with_person', 'injection', 'execution_disabled') AS escalated,
         coalesce(c.resolved = FALSE, FALSE) AS unresolved,
         a.beyond OR coalesce(t.beyond, FALSE) OR coalesce(c.escalation_reason = 'out_of_scope', FALSE) AS out_of_scope,
         coalesce(a.confidence < $confidence, FALSE) AND coalesce(c.escalation_reason, '') <> 'mandatory_category' AS low_confidence,
         coalesce(c.escalation_reason = 'no_answer', FALSE) AS refused
  FROM asked AS a JOIN conversations AS c ON c.conversation_id = a.conversation_id LEFT JOIN told AS t ON t.conversation_id = a.conversation_id
)
SELECT interaction_id, question, customer, started_at, escalated, unresolved, out_of_scope, low_confidence, refused
FROM flagged
WHERE escalated OR unresolved OR out_of_scope OR low_confidence OR refused
ORDER BY hash(conversation_id), conversation_id
LIMIT $limit
