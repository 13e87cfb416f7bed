-- 001 facts: what producers told us, normalised; every time is naive UTC; no primary-key index (exactly-once comes from the ledger and the anti-join)
CREATE TABLE batches (
  batch_id BIGINT NOT NULL, source VARCHAR NOT NULL, path VARCHAR NOT NULL, file_key VARCHAR NOT NULL,
  from_offset BIGINT NOT NULL, to_offset BIGINT NOT NULL, records_read BIGINT NOT NULL, stored BIGINT NOT NULL,
  duplicates BIGINT NOT NULL, quarantined BIGINT NOT NULL, first_ts TIMESTAMP, last_ts TIMESTAMP, committed_at TIMESTAMP NOT NULL
);
CREATE TABLE files (
  file_key VARCHAR NOT NULL, path VARCHAR NOT NULL, source VARCHAR NOT NULL, next_offset BIGINT NOT NULL, next_line BIGINT NOT NULL,
  done BOOLEAN NOT NULL, updated_at TIMESTAMP NOT NULL
);
CREATE TABLE sources (source VARCHAR NOT NULL, live BOOLEAN NOT NULL, last_ts TIMESTAMP, last_seen TIMESTAMP NOT NULL);
CREATE TABLE quarantine (
  quarantine_id VARCHAR NOT NULL, path VARCHAR NOT NULL, line BIGINT NOT NULL, reason VARCHAR NOT NULL, field VARCHAR, detail VARCHAR,
  record VARCHAR, raw VARCHAR, batch_id BIGINT NOT NULL, quarantined_at TIMESTAMP NOT NULL
);
CREATE TABLE interactions (
  interaction_id VARCHAR NOT NULL, conversation_id VARCHAR NOT NULL, turn INTEGER NOT NULL, ts TIMESTAMP,
  user_id VARCHAR, segment VARCHAR, region VARCHAR, channel VARCHAR, arm VARCHAR, phase VARCHAR, release VARCHAR, model VARCHAR, agent_version VARCHAR,
  intent_pred VARCHAR, intent_true VARCHAR, intent_conf DOUBLE, latency_ms DOUBLE, tokens_in BIGINT, tokens_cached BIGINT, tokens_out BIGINT,
  cost_usd DOUBLE, csat DOUBLE, escalated BOOLEAN, escalation_reason VARCHAR, resolved BOOLEAN, error_type VARCHAR, timed_out BOOLEAN,
  safety_route VARCHAR, workflow VARCHAR, question VARCHAR, answer VARCHAR, sources VARCHAR, extra VARCHAR,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
CREATE TABLE exposures (
  exposure_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, conversation_id VARCHAR NOT NULL, user_id VARCHAR, flag_key VARCHAR, variant VARCHAR NOT NULL,
  reason VARCHAR, flag_version BIGINT, rollout_id VARCHAR, release VARCHAR, phase VARCHAR, share DOUBLE, eligible BOOLEAN, ineligible_reason VARCHAR,
  segment VARCHAR, region VARCHAR, channel VARCHAR, intent_first VARCHAR,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
CREATE TABLE model_calls (
  call_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, interaction_id VARCHAR, conversation_id VARCHAR, operation VARCHAR, provider VARCHAR, model VARCHAR,
  latency_ms DOUBLE, tokens_in BIGINT, tokens_cached BIGINT, tokens_out BIGINT, cost_usd DOUBLE, error_type VARCHAR, timed_out BOOLEAN,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
CREATE TABLE dependency_calls (
  call_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, interaction_id VARCHAR, conversation_id VARCHAR, dependency VARCHAR, latency_ms DOUBLE,
  error_type VARCHAR, timed_out BOOLEAN,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
CREATE TABLE workflow_runs (
  run_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, interaction_id VARCHAR, conversation_id VARCHAR, workflow VARCHAR NOT NULL, status VARCHAR NOT NULL,
  idempotency_key VARCHAR, error_type VARCHAR, slots VARCHAR,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
CREATE TABLE feedback (
  feedback_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, conversation_id VARCHAR NOT NULL, csat DOUBLE, resolved BOOLEAN, comment VARCHAR,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
CREATE TABLE evaluations (
  evaluation_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, interaction_id VARCHAR, conversation_id VARCHAR, name VARCHAR NOT NULL, score DOUBLE, label VARCHAR,
  evaluator VARCHAR, sampling_rate DOUBLE,
  id_hash UBIGINT NOT NULL, raw_hash UBIGINT NOT NULL, batch_id BIGINT NOT NULL, line BIGINT NOT NULL
);
-- One row per conversation, kept by ingest in the transaction that stores its records. Outcomes carry the time they became known, so maturity can be judged.
CREATE TABLE conversations (
  conversation_id VARCHAR NOT NULL, id_hash UBIGINT NOT NULL, user_id VARCHAR, arm VARCHAR, release VARCHAR, phase VARCHAR, rollout_id VARCHAR, flag_version BIGINT,
  segment VARCHAR, region VARCHAR, channel VARCHAR, eligible BOOLEAN, ineligible_reason VARCHAR, intent_first VARCHAR,
  started_at TIMESTAMP, last_at TIMESTAMP, turns INTEGER NOT NULL, escalated_at TIMESTAMP, escalation_reason VARCHAR, resolved BOOLEAN, resolved_at TIMESTAMP,
  csat DOUBLE, csat_at TIMESTAMP, returned_at TIMESTAMP, safety_route VARCHAR, workflow VARCHAR, tokens_in BIGINT, tokens_out BIGINT, cost_usd DOUBLE,
  batch_id BIGINT NOT NULL
);
