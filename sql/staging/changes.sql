-- what all slices of the transaction say about each conversation
CREATE OR REPLACE TEMP TABLE changes AS
SELECT id_hash, any_value(conversation_id) AS conversation_id, max(user_id) AS user_id, max(arm) AS arm,
  min(first_key) AS first_key, arg_min(first_seen, first_key) AS first_seen, min(exposure_key) AS exposure_key, arg_min(exposed, exposure_key) AS exposed,
  min(started_at) AS started_at, max(last_at) AS last_at, sum(turns) AS turns,
  bool_or(escalated) AS escalated, min(escalated_at) AS escalated_at, min(escalated_key) AS escalated_key,
  arg_min(escalation_reason, escalated_key) AS escalation_reason,
  arg_max(resolved, resolved_key) AS resolved, max(resolved_key) AS resolved_key, arg_max({'ts': resolved_at}, resolved_key).ts AS resolved_at,
  arg_max(csat, csat_key) AS csat, max(csat_key) AS csat_key, arg_max({'ts': csat_at}, csat_key).ts AS csat_at,
  arg_min(safety_route, route_key) AS safety_route, min(route_key) AS route_key,
  arg_max(workflow, workflow_key) AS workflow, max(workflow_key) AS workflow_key,
  sum(tokens_in) AS tokens_in, sum(tokens_out) AS tokens_out, sum(cost_usd) AS cost_usd
FROM pending GROUP BY id_hash;
