-- predicted against true intents per hour in bins of the confidence; of several labels a person's drawn at random outranks the log, and the log what was picked for a reason
INSERT INTO rollup_intent BY NAME
WITH labels AS (
  SELECT i.interaction_id, arg_min(struct_pack(label := e.label, rate := e.sampling_rate, targeted := starts_with(e.evaluation_id, 'targeted:')),
                                   struct_pack(t := starts_with(e.evaluation_id, 'targeted:'), ts := e.ts, id := e.evaluation_id)) AS said
  FROM evaluations AS e JOIN interactions AS i ON i.interaction_id = e.interaction_id
  WHERE e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND e.ts >= i.ts - INTERVAL 1 DAY AND e.ts >= date_trunc('hour', $since) - INTERVAL 1 DAY
    AND i.ts IS NOT NULL AND i.intent_pred IS NOT NULL
    AND i.ts >= date_trunc('hour', $since) AND i.ts < date_trunc('hour', $until) + INTERVAL 1 HOUR
    AND date_trunc('hour', i.ts) IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'evaluation')
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
    ON c.conversation_id = i.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
   AND c.started_at >= i.ts - INTERVAL 2 DAY AND c.started_at <= i.ts + INTERVAL 1 HOUR
  WHERE i.ts IS NOT NULL AND i.intent_pred IS NOT NULL
    AND i.ts >= date_trunc('hour', $since) AND i.ts < date_trunc('hour', $until) + INTERVAL 1 HOUR
    AND date_trunc('hour', i.ts) IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'evaluation')
)
SELECT date_trunc('hour', ts) AS hour, arm, release, intent_pred AS predicted, coalesce(truth, 'unlabelled') AS truth, basis,
       CASE WHEN intent_conf IS NULL THEN -1 ELSE CAST(least(9, greatest(0, floor(intent_conf * 10))) AS INTEGER) END AS bin,
       count(*) AS n, coalesce(sum(intent_conf), 0) AS confidence, sum(weight) AS weight, sum(weight * weight) AS weight_sq,
       coalesce(sum(weight * intent_conf), 0) AS weighted_confidence
FROM told
GROUP BY ALL
ORDER BY hour
