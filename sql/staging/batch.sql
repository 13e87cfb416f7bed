-- the ledger row of the slice
INSERT INTO batches BY NAME
SELECT $batch AS batch_id, $source AS source, $path AS path, $file_key AS file_key, $from_offset AS from_offset, $to_offset AS to_offset,
  $read AS records_read, $stored AS stored, $duplicates AS duplicates, $quarantined AS quarantined, $first_ts AS first_ts, $last_ts AS last_ts,
  $moment AS committed_at;
