-- the newest committed batch
SELECT coalesce(max(batch_id), 0) AS last_batch FROM batches
