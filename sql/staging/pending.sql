-- what the slices of a transaction say about each conversation, one row a slice and conversation; folded into `conversations` before the commit
CREATE OR REPLACE TEMP TABLE pending (
  id_hash UBIGINT, conversation_id VARCHAR, user_id VARCHAR, arm VARCHAR, first_key HUGEINT,
  first_seen STRUCT(release VARCHAR, phase VARCHAR, segment VARCHAR, region VARCHAR, channel VARCHAR, intent_first VARCHAR),
  exposure_key HUGEINT,
  exposed STRUCT(release VARCHAR, phase VARCHAR, segment VARCHAR, region VARCHAR, channel VARCHAR, intent_first VARCHAR, rollout_id VARCHAR,
    flag_version BIGINT, eligible BOOLEAN, ineligible_reason VARCHAR),
  started_at TIMESTAMP, last_at TIMESTAMP, turns BIGINT, escalated BOOLEAN, escalated_at TIMESTAMP, escalated_key HUGEINT, escalation_reason VARCHAR,
  resolved BOOLEAN, resolved_at TIMESTAMP, resolved_key HUGEINT, csat DOUBLE, csat_at TIMESTAMP, csat_key HUGEINT,
  safety_route VARCHAR, route_key HUGEINT, workflow VARCHAR, workflow_key HUGEINT, tokens_in HUGEINT, tokens_out HUGEINT, cost_usd DOUBLE
);
CREATE OR REPLACE TEMP TABLE heard (source VARCHAR, last_ts TIMESTAMP, closing BOOLEAN, live BOOLEAN);
