-- cause: one row per eligible conversation that began in [$since, $until): its arm, whether it began at or after $onset (late), its slices d_*, what was served c_* and its measures m_*
-- A measure is NULL where it cannot be told, and is then counted in no denominator. Means are of logarithms where only ratios have a meaning.
-- lost: an exposure without any request (it has no start of its own, so the exposure's time places it); blank: the share of the core fields of a first request that were logged as null.
CREATE OR REPLACE TEMP TABLE cause_units AS
WITH chosen AS (
  SELECT conversation_id, arm, started_at, CASE WHEN started_at >= $onset THEN 1 ELSE 0 END AS late, segment, region, channel, intent_first,
         release, escalated, escalated_at, escalation_reason, safety_route, workflow, csat, exposure_key
  FROM conversations
  WHERE started_at >= $since AND started_at < $until AND arm IS NOT NULL AND coalesce(eligible, TRUE)
  UNION ALL
  SELECT c.conversation_id, c.arm, e.ts AS started_at, CASE WHEN e.ts >= $onset THEN 1 ELSE 0 END AS late, c.segment, c.region, c.channel, c.intent_first,
         c.release, c.escalated, c.escalated_at, c.escalation_reason, c.safety_route, c.workflow, c.csat, c.exposure_key
  FROM conversations AS c
  JOIN (SELECT conversation_id, min(ts) AS ts FROM exposures WHERE ts >= $since AND ts < $until GROUP BY conversation_id) AS e ON e.conversation_id = c.conversation_id
  WHERE c.started_at IS NULL AND c.arm IS NOT NULL AND coalesce(c.eligible, TRUE)
), requests AS (
  SELECT i.*, CASE WHEN json_valid(i.extra) THEN i.extra END AS more
  FROM interactions AS i
  WHERE i.ts >= $since AND i.ts < CAST($until AS TIMESTAMP) + INTERVAL 1 HOUR
), asked AS (
  SELECT conversation_id, count(*) AS turns, arg_min(intent_pred, turn) AS intent_pred, arg_min(intent_true, turn) AS intent_true, max(model) AS model,
    max(agent_version) AS agent_version, avg(intent_conf) AS confidence, max(CASE WHEN error_type IS NOT NULL THEN 1 ELSE 0 END) AS failed,
    max(CASE WHEN timed_out THEN 1 WHEN timed_out = FALSE THEN 0 END) AS timed_out, max(latency_ms) AS latency_ms,
    avg(CASE WHEN tokens_in > 0 THEN tokens_in END) AS tokens_in, avg(CASE WHEN tokens_out > 0 THEN tokens_out END) AS tokens_out,
    avg(CASE WHEN length(answer) > 0 THEN length(answer) END) AS answer_length,
    max(CASE json_extract_string(more, '$.cached') WHEN 'true' THEN 'cached' WHEN 'false' THEN 'not cached' END) AS cached,
    max(CAST(json_extract(more, '$.artefacts') AS VARCHAR)) AS artefacts, max(CASE WHEN json_valid(sources) THEN sources END) AS sources,
    (avg(CASE WHEN latency_ms IS NULL THEN 1.0 ELSE 0.0 END) + avg(CASE WHEN intent_pred IS NULL THEN 1.0 ELSE 0.0 END)
      + avg(CASE WHEN escalated IS NULL THEN 1.0 ELSE 0.0 END) + avg(CASE WHEN timed_out IS NULL THEN 1.0 ELSE 0.0 END)
      + avg(CASE WHEN user_id IS NULL THEN 1.0 ELSE 0.0 END)) / 5 AS blank
  FROM requests GROUP BY conversation_id
), judged AS (
  SELECT conversation_id, max(CASE WHEN name = 'intent_true' THEN label END) AS intent_true,
    max(CASE WHEN name = 'groundedness' AND sampling_rate IS NOT NULL THEN CASE WHEN label = 'ungrounded' THEN 1 ELSE 0 END END) AS ungrounded,
    max(CASE WHEN name = 'safety_route' AND sampling_rate IS NOT NULL THEN CASE WHEN label = 'misrouted' THEN 1 ELSE 0 END END) AS misrouted
  FROM evaluations WHERE ts >= $since GROUP BY conversation_id
)
SELECT
  c.conversation_id, c.arm, c.late, c.started_at, c.escalation_reason AS c_reason, c.safety_route AS c_route, c.workflow AS c_workflow, a.intent_pred AS c_predicted,
  c.release AS c_release, a.agent_version AS c_agent_version, a.model AS c_model, a.artefacts AS c_artefacts, a.sources AS c_sources, a.turns AS turns,
  coalesce(c.intent_first, a.intent_pred) AS d_intent, c.channel AS d_channel, c.region AS d_region, c.segment AS d_segment, a.model AS d_model, a.cached AS d_cached,
  CASE WHEN a.turns > 0 THEN CASE WHEN c.escalated OR c.escalated_at IS NOT NULL THEN 1.0 ELSE 0.0 END END AS m_escalated,
  CASE WHEN c.csat IS NOT NULL THEN CASE WHEN c.csat <= 2 THEN 1.0 ELSE 0.0 END END AS m_unhappy,
  CASE WHEN a.turns > 0 THEN CASE WHEN c.csat IS NOT NULL THEN 1.0 ELSE 0.0 END END AS m_rated,
  CASE WHEN coalesce(j.intent_true, a.intent_true) IS NOT NULL AND a.intent_pred IS NOT NULL THEN CASE WHEN coalesce(j.intent_true, a.intent_true) <> a.intent_pred THEN 1.0 ELSE 0.0 END END AS m_misclassified,
  CASE WHEN c.intent_first IS NOT NULL AND a.intent_pred IS NOT NULL THEN CASE WHEN c.intent_first <> a.intent_pred THEN 1.0 ELSE 0.0 END END AS m_rerouted,
  CAST(j.ungrounded AS DOUBLE) AS m_ungrounded, CAST(j.misrouted AS DOUBLE) AS m_misrouted, CAST(a.failed AS DOUBLE) AS m_failed, CAST(a.timed_out AS DOUBLE) AS m_timed_out,
  CASE WHEN a.latency_ms IS NOT NULL THEN CASE WHEN a.latency_ms > $slo_ms THEN 1.0 ELSE 0.0 END END AS m_slow,
  CASE WHEN a.latency_ms > 0 THEN ln(a.latency_ms) END AS m_latency, ln(a.tokens_in) AS m_tokens_in, ln(a.tokens_out) AS m_tokens_out, ln(a.answer_length) AS m_answer_length,
  a.confidence AS m_confidence, CASE WHEN a.turns > 0 THEN CASE WHEN c.safety_route IS NOT NULL THEN 1.0 ELSE 0.0 END END AS m_routed,
  CASE WHEN c.exposure_key IS NOT NULL THEN CASE WHEN a.turns > 0 THEN 0.0 ELSE 1.0 END END AS m_lost, a.blank AS m_blank
FROM chosen AS c LEFT JOIN asked AS a ON a.conversation_id = c.conversation_id LEFT JOIN judged AS j ON j.conversation_id = c.conversation_id
