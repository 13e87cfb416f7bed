-- touched conversations as they are after the transaction: what was stored (o) and what its slices say (n)
CREATE OR REPLACE TEMP TABLE merged AS
WITH both_sides AS (
  SELECT o.row_number, n.conversation_id, n.id_hash, coalesce(o.user_id, n.user_id) AS user_id, coalesce(o.arm, n.arm) AS arm,
    least(o.first_key, n.first_key) AS first_key,
    CASE WHEN o.first_key IS NULL OR n.first_key < o.first_key THEN n.first_seen ELSE o.first_seen END AS first_seen,
    least(o.exposure_key, n.exposure_key) AS exposure_key,
    CASE WHEN o.exposure_key IS NULL OR n.exposure_key < o.exposure_key THEN n.exposed ELSE o.exposed END AS exposed,
    least(o.started_at, n.started_at) AS started_at, greatest(o.last_at, n.last_at) AS last_at, coalesce(o.turns, 0) + n.turns AS turns,
    coalesce(o.escalated, false) OR coalesce(n.escalated, false) AS any_escalated, coalesce(o.escalated, n.escalated) IS NULL AS never_said,
    least(o.escalated_at, n.escalated_at) AS escalated_at, least(o.escalated_key, n.escalated_key) AS escalated_key,
    CASE WHEN o.escalated_key IS NULL OR n.escalated_key < o.escalated_key THEN n.escalation_reason ELSE o.escalation_reason END AS escalation_reason,
    o.resolved_key IS NULL OR n.resolved_key > o.resolved_key AS newer_resolved, greatest(o.resolved_key, n.resolved_key) AS resolved_key,
    n.resolved AS n_resolved, o.resolved AS o_resolved, n.resolved_at AS n_resolved_at, o.resolved_at AS o_resolved_at,
    o.csat_key IS NULL OR n.csat_key > o.csat_key AS newer_csat, greatest(o.csat_key, n.csat_key) AS csat_key,
    n.csat AS n_csat, o.csat AS o_csat, n.csat_at AS n_csat_at, o.csat_at AS o_csat_at, o.returned_at,
    CASE WHEN o.route_key IS NULL OR n.route_key < o.route_key THEN n.safety_route ELSE o.safety_route END AS safety_route,
    least(o.route_key, n.route_key) AS route_key,
    CASE WHEN o.workflow_key IS NULL OR n.workflow_key > o.workflow_key THEN n.workflow ELSE o.workflow END AS workflow,
    greatest(o.workflow_key, n.workflow_key) AS workflow_key,
    CASE WHEN o.tokens_in IS NULL THEN n.tokens_in ELSE o.tokens_in + coalesce(n.tokens_in, 0) END AS tokens_in,
    CASE WHEN o.tokens_out IS NULL THEN n.tokens_out ELSE o.tokens_out + coalesce(n.tokens_out, 0) END AS tokens_out,
    CASE WHEN o.cost_usd IS NULL THEN n.cost_usd ELSE o.cost_usd + coalesce(n.cost_usd, 0) END AS cost_usd
  FROM changes AS n LEFT JOIN before AS o ON o.id_hash = n.id_hash
)
SELECT row_number, conversation_id, id_hash, user_id, arm, coalesce(exposed.release, first_seen.release) AS release, coalesce(exposed.phase, first_seen.phase) AS phase,
  exposed.rollout_id AS rollout_id, exposed.flag_version AS flag_version, coalesce(exposed.segment, first_seen.segment) AS segment,
  coalesce(exposed.region, first_seen.region) AS region, coalesce(exposed.channel, first_seen.channel) AS channel, exposed.eligible AS eligible,
  exposed.ineligible_reason AS ineligible_reason, coalesce(exposed.intent_first, first_seen.intent_first) AS intent_first, started_at, last_at,
  CAST(turns AS INTEGER) AS turns, escalated_at, escalation_reason,
  CASE WHEN newer_resolved THEN n_resolved ELSE o_resolved END AS resolved, CASE WHEN newer_resolved THEN n_resolved_at ELSE o_resolved_at END AS resolved_at,
  CASE WHEN newer_csat THEN n_csat ELSE o_csat END AS csat, CASE WHEN newer_csat THEN n_csat_at ELSE o_csat_at END AS csat_at, returned_at,
  safety_route, workflow, CAST(tokens_in AS BIGINT) AS tokens_in, CAST(tokens_out AS BIGINT) AS tokens_out, cost_usd, $batch AS batch_id,
  CASE WHEN never_said THEN NULL ELSE any_escalated END AS escalated, first_key, first_seen, exposure_key, exposed, escalated_key, resolved_key, csat_key,
  route_key, workflow_key
FROM both_sides;
