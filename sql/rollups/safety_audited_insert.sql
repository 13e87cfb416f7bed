-- answers that people judged for their routing, per hour of the answer; several judgements of one count once (the worst, then the earliest)
INSERT INTO rollup_safety BY NAME
WITH labels AS (
  SELECT i.interaction_id AS subject, i.interaction_id, i.conversation_id, i.ts, e.label = 'misrouted' AS misrouted, e.sampling_rate, e.ts AS judged_at, e.evaluation_id
  FROM evaluations AS e JOIN interactions AS i ON i.interaction_id = e.interaction_id
  WHERE e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted') AND NOT starts_with(e.evaluation_id, 'targeted:')
    AND i.ts IS NOT NULL AND e.ts >= i.ts - INTERVAL 1 DAY AND e.ts >= date_trunc('hour', $since) - INTERVAL 1 DAY
    AND i.ts >= date_trunc('hour', $since) AND i.ts < date_trunc('hour', $until) + INTERVAL 1 HOUR
    AND date_trunc('hour', i.ts) IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'evaluation')
  UNION ALL
  SELECT c.conversation_id AS subject, NULL AS interaction_id, c.conversation_id, c.started_at AS ts, e.label = 'misrouted' AS misrouted, e.sampling_rate, e.ts AS judged_at, e.evaluation_id
  FROM evaluations AS e JOIN conversations AS c ON c.conversation_id = e.conversation_id
  WHERE e.interaction_id IS NULL AND e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')
    AND NOT starts_with(e.evaluation_id, 'targeted:') AND c.started_at IS NOT NULL AND e.ts >= c.started_at - INTERVAL 1 DAY AND e.ts >= date_trunc('hour', $since) - INTERVAL 1 DAY
    AND c.started_at >= date_trunc('hour', $since) AND c.started_at < date_trunc('hour', $until) + INTERVAL 1 HOUR
    AND date_trunc('hour', c.started_at) IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'evaluation')
), verdicts AS (
  SELECT interaction_id, conversation_id, ts, bool_or(misrouted) AS misrouted,
         arg_min(coalesce(sampling_rate, 0), struct_pack(worst := NOT misrouted, at := judged_at, id := evaluation_id)) AS rate
  FROM labels GROUP BY subject, interaction_id, conversation_id, ts
), names AS (
  SELECT e.interaction_id, arg_min(e.label, struct_pack(at := e.ts, id := e.evaluation_id)) AS intent
  FROM evaluations AS e JOIN verdicts AS v ON v.interaction_id = e.interaction_id
  WHERE e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND NOT starts_with(e.evaluation_id, 'targeted:')
    AND e.ts >= v.ts - INTERVAL 1 DAY AND e.ts >= date_trunc('hour', $since) - INTERVAL 1 DAY
  GROUP BY e.interaction_id
), told AS (
  SELECT v.ts, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release, CASE WHEN v.rate > 0 THEN 'sampled' ELSE 'person' END AS basis,
         coalesce(c.safety_route, 'none') AS screened, coalesce(n.intent, 'unsaid') AS named,
         CASE WHEN NOT v.misrouted THEN 'at_once' WHEN c.escalated_at IS NOT NULL OR c.escalated THEN 'late' ELSE 'nobody' END AS reached,
         CASE WHEN v.rate > 0 THEN 1.0 / v.rate ELSE 1.0 END AS weight
  FROM verdicts AS v
  LEFT JOIN names AS n ON n.interaction_id = v.interaction_id
  LEFT JOIN conversations AS c
    ON c.conversation_id = v.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
   AND c.started_at >= v.ts - INTERVAL 2 DAY AND c.started_at <= v.ts + INTERVAL 1 HOUR
)
SELECT date_trunc('hour', ts) AS hour, arm, release, basis, screened, named, reached, count(*) AS n, sum(weight) AS weight, sum(weight * weight) AS weight_sq
FROM told
GROUP BY ALL
ORDER BY hour
