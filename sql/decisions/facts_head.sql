-- the newest ingest batch ($batch_id NULL), or that one, and what it was: file, from where to where, how many records
SELECT batch_id, concat_ws(':', file_key, from_offset, to_offset, records_read, stored) AS identity
FROM batches WHERE batch_id = coalesce($batch_id, (SELECT max(batch_id) FROM batches)) LIMIT 1
