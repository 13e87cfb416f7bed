-- the batches whose minutes wait to be rolled up: first, last, number of touched minutes
SELECT min(batch_id) AS first_batch, max(batch_id) AS last_batch, count(*) AS touched FROM touched_minutes
