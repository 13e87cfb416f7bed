-- What reviewers say of answers that were picked for a reason is a fact, but no evidence of a rate: evaluations with an id that begins with 'targeted:' are not counted.
-- judgements: as in 011, without them; a person's label of an answer drawn at random, or of a producer's own audit, counts as before.
CREATE OR REPLACE VIEW judgements AS
SELECT CASE e.name WHEN 'groundedness' THEN 'hallucination_rate' WHEN 'intent_true' THEN 'misclassification_rate' ELSE 'misrouting_rate' END AS metric,
       i.interaction_id AS subject, i.conversation_id, i.ts AS answered_at, e.ts AS judged_at, e.evaluation_id AS judgement_id, 0 AS priority, coalesce(e.evaluator LIKE 'human:%', FALSE) AS by_person,
       CASE e.name WHEN 'groundedness' THEN CASE WHEN e.label = 'ungrounded' THEN 1 ELSE 0 END
                   WHEN 'intent_true' THEN CASE WHEN e.label <> i.intent_pred THEN 1 ELSE 0 END
                   ELSE CASE WHEN e.label = 'misrouted' THEN 1 ELSE 0 END END AS hit
FROM evaluations AS e JOIN interactions AS i ON i.interaction_id = e.interaction_id
WHERE NOT starts_with(e.evaluation_id, 'targeted:')
  AND ((e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded') AND e.sampling_rate > 0)
    OR (e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND i.intent_pred IS NOT NULL)
    OR (e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')))
UNION ALL
SELECT CASE e.name WHEN 'groundedness' THEN 'hallucination_rate' ELSE 'misrouting_rate' END AS metric,
       c.conversation_id AS subject, c.conversation_id, c.started_at AS answered_at, e.ts AS judged_at, e.evaluation_id AS judgement_id, 0 AS priority, coalesce(e.evaluator LIKE 'human:%', FALSE) AS by_person,
       CASE WHEN e.label IN ('ungrounded', 'misrouted') THEN 1 ELSE 0 END AS hit
FROM evaluations AS e JOIN conversations AS c ON c.conversation_id = e.conversation_id
WHERE e.interaction_id IS NULL AND NOT starts_with(e.evaluation_id, 'targeted:')
  AND ((e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded') AND e.sampling_rate > 0)
    OR (e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')))
UNION ALL
SELECT 'misclassification_rate' AS metric, interaction_id AS subject, conversation_id, ts AS answered_at, ts AS judged_at,
       interaction_id AS judgement_id, 1 AS priority, FALSE AS by_person, CASE WHEN intent_true <> intent_pred THEN 1 ELSE 0 END AS hit
FROM interactions WHERE intent_true IS NOT NULL AND intent_pred IS NOT NULL AND ts IS NOT NULL;
