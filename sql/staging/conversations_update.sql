-- the touched conversations that were there, in place and in the order of the rows: an update that jumps between rows is a hundred times slower
UPDATE conversations SET
  user_id = m.user_id, arm = m.arm, release = m.release, phase = m.phase, rollout_id = m.rollout_id, flag_version = m.flag_version,
  segment = m.segment, region = m.region, channel = m.channel, eligible = m.eligible, ineligible_reason = m.ineligible_reason,
  intent_first = m.intent_first, started_at = m.started_at, last_at = m.last_at, turns = m.turns, escalated_at = m.escalated_at,
  escalation_reason = m.escalation_reason, resolved = m.resolved, resolved_at = m.resolved_at, csat = m.csat, csat_at = m.csat_at,
  returned_at = m.next_start, safety_route = m.safety_route, workflow = m.workflow, tokens_in = m.tokens_in, tokens_out = m.tokens_out,
  cost_usd = m.cost_usd, batch_id = m.batch_id, escalated = m.escalated, first_key = m.first_key, first_seen = m.first_seen,
  exposure_key = m.exposure_key, exposed = m.exposed, escalated_key = m.escalated_key, resolved_key = m.resolved_key,
  csat_key = m.csat_key, route_key = m.route_key, workflow_key = m.workflow_key
FROM (
  SELECT t.*, CASE WHEN r.id_hash IS NULL THEN t.returned_at ELSE r.next_start END AS next_start
  FROM merged AS t LEFT JOIN returns AS r ON r.id_hash = t.id_hash WHERE t.row_number IS NOT NULL ORDER BY t.row_number
) AS m
WHERE conversations.rowid = m.row_number;
