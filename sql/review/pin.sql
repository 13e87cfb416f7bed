-- review: what the facts have: the newest ingest batch, and up to where the units of rollouts are closed
SELECT coalesce((SELECT max(batch_id) FROM batches), 0) AS last_batch, (SELECT max(closed_until) FROM unit_progress) AS units_until
