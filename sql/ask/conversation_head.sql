-- ask: one conversation and its outcome; no row where nobody told of it
SELECT conversation_id, user_id AS customer, arm, release, phase, rollout_id, segment, region, channel, eligible, ineligible_reason, intent_first,
       started_at, last_at, turns, coalesce(escalated, escalated_at IS NOT NULL) AS escalated, escalated_at, escalation_reason, resolved, resolved_at,
       csat, csat_at, returned_at, safety_route, workflow, tokens_in, tokens_out, cost_usd
FROM conversations WHERE conversation_id = $conversation_id
