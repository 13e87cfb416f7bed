-- rejected rows of the slice, one list a column
INSERT INTO rejects
SELECT unnest(CAST($quarantine_id AS VARCHAR[])) AS quarantine_id, unnest(CAST($line AS BIGINT[])) AS line, unnest(CAST($reason AS VARCHAR[])) AS reason,
  unnest(CAST($field AS VARCHAR[])) AS field, unnest(CAST($detail AS VARCHAR[])) AS detail, unnest(CAST($record AS VARCHAR[])) AS record,
  unnest(CAST($raw AS VARCHAR[])) AS raw;
