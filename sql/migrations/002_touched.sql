-- 002 touched: what ingest keeps so that the next slice, and the rollups, need not look at the history again
-- the minutes whose rollups a batch made stale; rollup reads and clears them
CREATE TABLE touched_minutes (minute TIMESTAMP NOT NULL, batch_id BIGINT NOT NULL);
-- unknown keys of a record whose table has no `extra` column: kept, not dropped
CREATE TABLE extra_fields (record VARCHAR NOT NULL, id_hash UBIGINT NOT NULL, extra VARCHAR NOT NULL, batch_id BIGINT NOT NULL);
-- Bookkeeping of a conversation: the order keys (see staging/macros.sql) of the records its columns were taken from. They make the
-- result independent of the order in which records arrive. `escalated` also holds for history, where escalated_at has no time.
ALTER TABLE conversations ADD COLUMN escalated BOOLEAN;
ALTER TABLE conversations ADD COLUMN first_key HUGEINT;
ALTER TABLE conversations ADD COLUMN first_seen STRUCT(release VARCHAR, phase VARCHAR, segment VARCHAR, region VARCHAR, channel VARCHAR, intent_first VARCHAR);
ALTER TABLE conversations ADD COLUMN exposure_key HUGEINT;
ALTER TABLE conversations ADD COLUMN exposed STRUCT(release VARCHAR, phase VARCHAR, segment VARCHAR, region VARCHAR, channel VARCHAR, intent_first VARCHAR, rollout_id VARCHAR, flag_version BIGINT, eligible BOOLEAN, ineligible_reason VARCHAR);
ALTER TABLE conversations ADD COLUMN escalated_key HUGEINT;
ALTER TABLE conversations ADD COLUMN resolved_key HUGEINT;
ALTER TABLE conversations ADD COLUMN csat_key HUGEINT;
ALTER TABLE conversations ADD COLUMN route_key HUGEINT;
ALTER TABLE conversations ADD COLUMN workflow_key HUGEINT;
