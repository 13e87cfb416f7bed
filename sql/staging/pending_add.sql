-- what the slice says about each conversation it names; first and latest by order key, so the order of arrival does not matter
-- A feedback counts after all turns of its instant (turn 2147483647).
INSERT INTO pending BY NAME
WITH facts AS (
  SELECT conversation_hash, conversation_id, kind = 'interaction' AS is_turn, kind = 'exposure' AS is_exposure, ts, user_id,
    CASE kind WHEN 'exposure' THEN variant WHEN 'interaction' THEN arm END AS arm,
    order_key(ts, CASE kind WHEN 'feedback' THEN 2147483647 ELSE coalesce(turn, 0) END, id_hash) AS k,
    release, phase, segment, region, channel, intent_first, intent_pred, rollout_id, flag_version, eligible, ineligible_reason,
    CASE WHEN kind = 'interaction' THEN escalated END AS escalated, escalation_reason,
    CASE WHEN kind <> 'exposure' THEN resolved END AS resolved, CASE WHEN kind <> 'exposure' THEN csat END AS csat,
    CASE WHEN kind = 'interaction' THEN safety_route END AS safety_route, CASE WHEN kind = 'interaction' THEN workflow END AS workflow,
    CASE WHEN kind = 'interaction' THEN tokens_in END AS tokens_in, CASE WHEN kind = 'interaction' THEN tokens_out END AS tokens_out,
    CASE WHEN kind = 'interaction' THEN cost_usd END AS cost_usd
  FROM settled WHERE kind IN ('interaction', 'exposure', 'feedback')
)
SELECT conversation_hash AS id_hash, any_value(conversation_id) AS conversation_id, max(CASE WHEN is_turn OR is_exposure THEN user_id END) AS user_id, max(arm) AS arm,
  min(k) FILTER (is_turn) AS first_key,
  arg_min({'release': release, 'phase': phase, 'segment': segment, 'region': region, 'channel': channel, 'intent_first': intent_pred}, k)
    FILTER (is_turn) AS first_seen,
  min(k) FILTER (is_exposure) AS exposure_key,
  arg_min({'release': release, 'phase': phase, 'segment': segment, 'region': region, 'channel': channel, 'intent_first': intent_first,
    'rollout_id': rollout_id, 'flag_version': flag_version, 'eligible': eligible, 'ineligible_reason': ineligible_reason}, k)
    FILTER (is_exposure) AS exposed,
  min(ts) FILTER (is_turn) AS started_at, max(ts) FILTER (is_turn) AS last_at, count(*) FILTER (is_turn) AS turns,
  bool_or(escalated) AS escalated, min(ts) FILTER (escalated) AS escalated_at, min(k) FILTER (escalated) AS escalated_key,
  arg_min(coalesce(escalation_reason, 'unspecified'), k) FILTER (escalated) AS escalation_reason,
  arg_max(resolved, k) AS resolved, arg_max(ts, k) FILTER (resolved IS NOT NULL) AS resolved_at, max(k) FILTER (resolved IS NOT NULL) AS resolved_key,
  arg_max(csat, k) AS csat, arg_max(ts, k) FILTER (csat IS NOT NULL) AS csat_at, max(k) FILTER (csat IS NOT NULL) AS csat_key,
  arg_min(safety_route, k) AS safety_route, min(k) FILTER (safety_route IS NOT NULL) AS route_key,
  arg_max(workflow, k) AS workflow, max(k) FILTER (workflow IS NOT NULL) AS workflow_key,
  sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost_usd) AS cost_usd
FROM facts GROUP BY conversation_hash;
