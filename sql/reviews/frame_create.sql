-- the frame of a draw: every timed answer of the assistant in [$since, $until), which targeted reasons apply to it, and its permanent random number u in [0, 1)
-- An answer's reasons are what the facts know now; u depends on its id alone, so nobody chooses and asking again draws the same.
CREATE OR REPLACE TEMP TABLE review_frame AS
WITH answers AS (
  SELECT i.interaction_id, i.conversation_id, i.ts, i.intent_pred, i.intent_conf, i.error_type, i.timed_out,
         c.rollout_id, c.release, c.csat, c.resolved, c.escalation_reason
  FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
  WHERE c.arm = 'assistant' AND i.answer IS NOT NULL AND i.ts < $until AND ($since IS NULL OR i.ts >= $since)
), judged AS (
  SELECT e.interaction_id,
         count(DISTINCT e.label) FILTER (WHERE e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded')) > 1 AS disagreement,
         bool_or(e.name = 'safety_route' AND e.label = 'misrouted' AND e.evaluator LIKE 'human:%') AS misrouted
  FROM evaluations AS e
  WHERE e.interaction_id IN (SELECT interaction_id FROM answers)
  GROUP BY e.interaction_id
)
SELECT a.interaction_id, a.conversation_id, a.ts, a.intent_pred, a.rollout_id, a.release,
       coalesce(nullif(concat_ws('+',
         CASE WHEN a.intent_conf < $confidence THEN 'low_confidence' END,
         CASE WHEN j.disagreement THEN 'disagreement' END,
         CASE WHEN a.csat <= 2 OR a.resolved = FALSE OR a.error_type IS NOT NULL OR a.timed_out OR j.misrouted
                OR a.escalation_reason IN ('failure', 'no_answer') THEN 'failure' END,
         CASE WHEN list_contains(CAST($drifted AS VARCHAR[]), a.interaction_id)
                OR list_contains(CAST($drifted_intents AS VARCHAR[]), a.intent_pred) THEN 'drifted_cluster' END), ''), 'none') AS stratum,
       md5_number_lower(concat('review|', a.interaction_id)) / 18446744073709551616.0 AS u
FROM answers AS a LEFT JOIN judged AS j ON j.interaction_id = a.interaction_id
