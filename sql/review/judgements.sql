-- review: what was judged of the requests of the two weeks and known at batch $last_batch, one row a metric and subject; weight: thousandths of 1/sampling rate
-- Rules as in the view `judgements`: groundedness only where drawn at random, true intents and safety routes only from people, a person before the log.
CREATE OR REPLACE TEMP TABLE review_judgements AS
WITH looked_at AS MATERIALIZED (
  SELECT DISTINCT e.interaction_id FROM evaluations AS e
  WHERE e.batch_id <= $last_batch AND e.interaction_id IS NOT NULL AND e.name IN ('groundedness', 'intent_true', 'safety_route')
), candidates AS (
  SELECT i.interaction_id, i.conversation_id, i.ts, i.intent_pred, i.intent_true FROM interactions AS i
  WHERE i.ts >= $before AND i.ts < $until AND i.batch_id <= $last_batch AND i.intent_true IS NOT NULL
  UNION ALL
  SELECT i.interaction_id, i.conversation_id, i.ts, i.intent_pred, i.intent_true FROM interactions AS i SEMI JOIN looked_at AS l ON l.interaction_id = i.interaction_id
  WHERE i.ts >= $before AND i.ts < $until AND i.batch_id <= $last_batch AND i.intent_true IS NULL
), answers AS MATERIALIZED (
  SELECT a.*, c.stratum, c.arm, c.unit
  FROM candidates AS a JOIN review_conversations AS c ON c.conversation_id = a.conversation_id WHERE c.eligible
), found AS (
  SELECT CASE e.name WHEN 'groundedness' THEN 'hallucination_rate' WHEN 'intent_true' THEN 'misclassification_rate' ELSE 'misrouting_rate' END AS metric,
         a.interaction_id AS subject, a.ts, a.stratum, a.arm, a.unit, e.ts AS judged_at, e.evaluation_id AS judgement_id, 0 AS priority,
         CASE e.name WHEN 'groundedness' THEN e.label = 'ungrounded' WHEN 'intent_true' THEN e.label <> a.intent_pred ELSE e.label = 'misrouted' END AS hit,
         e.name = 'safety_route' AND e.label = 'misrouted' AND coalesce(e.score, 0) >= $severe AS severe, e.sampling_rate
  FROM evaluations AS e JOIN answers AS a ON a.interaction_id = e.interaction_id
  WHERE e.batch_id <= $last_batch AND NOT starts_with(e.evaluation_id, 'targeted:')
    AND ((e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded') AND e.sampling_rate > 0)
      OR (e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND a.intent_pred IS NOT NULL)
      OR (e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')))
  UNION ALL
  SELECT CASE e.name WHEN 'groundedness' THEN 'hallucination_rate' ELSE 'misrouting_rate' END AS metric,
         c.conversation_id AS subject, c.started_at AS ts, c.stratum, c.arm, c.unit, e.ts AS judged_at, e.evaluation_id AS judgement_id, 0 AS priority,
         e.label IN ('ungrounded', 'misrouted') AS hit, e.label = 'misrouted' AND coalesce(e.score, 0) >= $severe AS severe, e.sampling_rate
  FROM evaluations AS e JOIN review_conversations AS c ON c.conversation_id = e.conversation_id
  WHERE e.batch_id <= $last_batch AND NOT starts_with(e.evaluation_id, 'targeted:') AND e.interaction_id IS NULL AND c.eligible
    AND ((e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded') AND e.sampling_rate > 0)
      OR (e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')))
  UNION ALL
  SELECT 'misclassification_rate' AS metric, a.interaction_id AS subject, a.ts, a.stratum, a.arm, a.unit, a.ts AS judged_at,
         a.interaction_id AS judgement_id, 1 AS priority, a.intent_true <> a.intent_pred AS hit, FALSE AS severe, NULL AS sampling_rate
  FROM answers AS a WHERE a.intent_true IS NOT NULL AND a.intent_pred IS NOT NULL
), ranked AS (
  SELECT f.*, row_number() OVER (PARTITION BY f.metric, f.subject ORDER BY f.priority, f.judged_at, f.judgement_id) AS place,
         bool_or(f.severe) OVER (PARTITION BY f.metric, f.subject) AS ever_severe
  FROM found AS f
)
SELECT r.metric, CASE WHEN r.ts >= $since THEN 1 ELSE 0 END AS week, r.stratum, r.arm, r.unit, r.hit, r.ever_severe AS severe,
       CAST(round(1000 / CASE WHEN r.sampling_rate > 0 AND r.sampling_rate <= 1 THEN r.sampling_rate ELSE 1 END) AS BIGINT) AS weight
FROM ranked AS r WHERE r.place = 1
