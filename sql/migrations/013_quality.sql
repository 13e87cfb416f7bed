-- 013 quality: what the intent classifier says against what people and the log say, and who of those that must have a person got one; additive, by hour
-- One row is a cell of the confusion matrix in a bin of the confidence. basis: where `truth` comes from
--   sampled   a person, drawn at random at a known rate (weight = 1 / rate)      person    a person, at a rate nobody told (a producer's own audit)
--   log       the log itself                                                     targeted  a person, picked for a reason: no evidence of any rate
--   none      nobody said, truth = 'unlabelled'
-- bin b holds confidences in [b/10, (b+1)/10), 1 belongs to bin 9, -1: the classifier told none. Sums over n answers: confidence, weight, weight^2, weight x confidence.
CREATE TABLE rollup_intent (
  hour TIMESTAMP NOT NULL, arm VARCHAR NOT NULL, release VARCHAR NOT NULL, predicted VARCHAR NOT NULL, truth VARCHAR NOT NULL, basis VARCHAR NOT NULL,
  bin INTEGER NOT NULL, n BIGINT NOT NULL, confidence DOUBLE NOT NULL, weight DOUBLE NOT NULL, weight_sq DOUBLE NOT NULL, weighted_confidence DOUBLE NOT NULL
);
-- basis 'screen': every conversation by the hour of its start, what the safety screen saw in it (`screened`, 'none' where nothing), and whether a person got it.
-- basis 'sampled' or 'person' (as above): answers that a person judged for their routing, by the hour of the answer, with the intent that the person named.
-- reached: person (by the turn in which the screen saw it) | late (by a later turn) | nobody of the screen; at_once (the judged answer was right) | late (it was not, but the conversation came to a person) | nobody of the audit
CREATE TABLE rollup_safety (
  hour TIMESTAMP NOT NULL, arm VARCHAR NOT NULL, release VARCHAR NOT NULL, basis VARCHAR NOT NULL, screened VARCHAR NOT NULL, named VARCHAR NOT NULL,
  reached VARCHAR NOT NULL, n BIGINT NOT NULL, weight DOUBLE NOT NULL, weight_sq DOUBLE NOT NULL
);
-- What is already there is counted here, once; from now on sql/rollups keeps it.
INSERT INTO rollup_intent BY NAME
WITH labels AS (
  SELECT i.interaction_id, arg_min(struct_pack(label := e.label, rate := e.sampling_rate, targeted := starts_with(e.evaluation_id, 'targeted:')),
                                   struct_pack(t := starts_with(e.evaluation_id, 'targeted:'), ts := e.ts, id := e.evaluation_id)) AS said
  FROM evaluations AS e JOIN interactions AS i ON i.interaction_id = e.interaction_id
  WHERE e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND e.ts >= i.ts - INTERVAL 1 DAY
    AND i.ts IS NOT NULL AND i.intent_pred IS NOT NULL
  GROUP BY i.interaction_id
), told AS (
  SELECT i.ts, coalesce(c.arm, i.arm, 'unknown') AS arm, coalesce(c.release, i.release, 'unknown') AS release, i.intent_pred, i.intent_conf,
         CASE WHEN NOT l.said.targeted THEN CASE WHEN l.said.rate > 0 THEN 'sampled' ELSE 'person' END
              WHEN i.intent_true IS NOT NULL THEN 'log' WHEN l.said.targeted THEN 'targeted' ELSE 'none' END AS basis,
         CASE WHEN NOT l.said.targeted OR i.intent_true IS NULL THEN l.said.label ELSE i.intent_true END AS truth,
         CASE WHEN NOT l.said.targeted AND l.said.rate > 0 THEN 1.0 / l.said.rate ELSE 1.0 END AS weight
  FROM interactions AS i
  LEFT JOIN labels AS l ON l.interaction_id = i.interaction_id
  LEFT JOIN conversations AS c
    ON c.conversation_id = i.conversation_id
   AND c.started_at >= i.ts - INTERVAL 2 DAY AND c.started_at <= i.ts + INTERVAL 1 HOUR
  WHERE i.ts IS NOT NULL AND i.intent_pred IS NOT NULL
)
SELECT date_trunc('hour', ts) AS hour, arm, release, intent_pred AS predicted, coalesce(truth, 'unlabelled') AS truth, basis,
       CASE WHEN intent_conf IS NULL THEN -1 ELSE CAST(least(9, greatest(0, floor(intent_conf * 10))) AS INTEGER) END AS bin,
       count(*) AS n, coalesce(sum(intent_conf), 0) AS confidence, sum(weight) AS weight, sum(weight * weight) AS weight_sq,
       coalesce(sum(weight * intent_conf), 0) AS weighted_confidence
FROM told
GROUP BY ALL
ORDER BY hour;
INSERT INTO rollup_safety BY NAME
SELECT date_trunc('hour', c.started_at) AS hour, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release, 'screen' AS basis,
       coalesce(c.safety_route, 'none') AS screened, 'unsaid' AS named,
       CASE WHEN c.escalated_at IS NULL AND NOT coalesce(c.escalated, FALSE) THEN 'nobody' WHEN c.escalated_key > c.route_key THEN 'late' ELSE 'person' END AS reached,
       count(*) AS n, CAST(count(*) AS DOUBLE) AS weight, CAST(count(*) AS DOUBLE) AS weight_sq
FROM conversations AS c
WHERE c.started_at IS NOT NULL
GROUP BY ALL
ORDER BY hour;
INSERT INTO rollup_safety BY NAME
WITH labels AS (
  SELECT i.interaction_id AS subject, i.interaction_id, i.conversation_id, i.ts, e.label = 'misrouted' AS misrouted, e.sampling_rate, e.ts AS judged_at, e.evaluation_id
  FROM evaluations AS e JOIN interactions AS i ON i.interaction_id = e.interaction_id
  WHERE e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted') AND NOT starts_with(e.evaluation_id, 'targeted:')
    AND i.ts IS NOT NULL AND e.ts >= i.ts - INTERVAL 1 DAY
  UNION ALL
  SELECT c.conversation_id AS subject, NULL AS interaction_id, c.conversation_id, c.started_at AS ts, e.label = 'misrouted' AS misrouted, e.sampling_rate, e.ts AS judged_at, e.evaluation_id
  FROM evaluations AS e JOIN conversations AS c ON c.conversation_id = e.conversation_id
  WHERE e.interaction_id IS NULL AND e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')
    AND NOT starts_with(e.evaluation_id, 'targeted:') AND c.started_at IS NOT NULL AND e.ts >= c.started_at - INTERVAL 1 DAY
), verdicts AS (
  SELECT interaction_id, conversation_id, ts, bool_or(misrouted) AS misrouted,
         arg_min(coalesce(sampling_rate, 0), struct_pack(worst := NOT misrouted, at := judged_at, id := evaluation_id)) AS rate
  FROM labels GROUP BY subject, interaction_id, conversation_id, ts
), names AS (
  SELECT e.interaction_id, arg_min(e.label, struct_pack(at := e.ts, id := e.evaluation_id)) AS intent
  FROM evaluations AS e JOIN verdicts AS v ON v.interaction_id = e.interaction_id
  WHERE e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND NOT starts_with(e.evaluation_id, 'targeted:')
    AND e.ts >= v.ts - INTERVAL 1 DAY
  GROUP BY e.interaction_id
), told AS (
  SELECT v.ts, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release, CASE WHEN v.rate > 0 THEN 'sampled' ELSE 'person' END AS basis,
         coalesce(c.safety_route, 'none') AS screened, coalesce(n.intent, 'unsaid') AS named,
         CASE WHEN NOT v.misrouted THEN 'at_once' WHEN c.escalated_at IS NOT NULL OR c.escalated THEN 'late' ELSE 'nobody' END AS reached,
         CASE WHEN v.rate > 0 THEN 1.0 / v.rate ELSE 1.0 END AS weight
  FROM verdicts AS v
  LEFT JOIN names AS n ON n.interaction_id = v.interaction_id
  LEFT JOIN conversations AS c
    ON c.conversation_id = v.conversation_id
   AND c.started_at >= v.ts - INTERVAL 2 DAY AND c.started_at <= v.ts + INTERVAL 1 HOUR
)
SELECT date_trunc('hour', ts) AS hour, arm, release, basis, screened, named, reached, count(*) AS n, sum(weight) AS weight, sum(weight * weight) AS weight_sq
FROM told
GROUP BY ALL
ORDER BY hour;
