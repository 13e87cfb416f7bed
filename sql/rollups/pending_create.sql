-- the waiting batches, as this transaction sees them
CREATE OR REPLACE TEMP TABLE rollup_pending AS SELECT DISTINCT batch_id FROM touched_minutes
