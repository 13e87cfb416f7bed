-- snapshot: what ingest has counted so far; read = stored + duplicates + quarantined
SELECT count(*) AS batches, CAST(coalesce(sum(records_read), 0) AS BIGINT) AS records_read, CAST(coalesce(sum(stored), 0) AS BIGINT) AS stored,
       CAST(coalesce(sum(duplicates), 0) AS BIGINT) AS duplicates, CAST(coalesce(sum(quarantined), 0) AS BIGINT) AS quarantined, max(batch_id) AS last_batch
FROM batches
