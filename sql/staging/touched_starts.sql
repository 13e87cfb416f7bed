-- the minutes in which conversations start (or started) that the transaction changed: their blocks are stale too
INSERT INTO touched_minutes
SELECT DISTINCT date_trunc('minute', moment) AS minute, $batch AS batch_id FROM (
  SELECT started_at AS moment FROM merged UNION ALL SELECT started_at AS moment FROM before UNION ALL SELECT started_at AS moment FROM returns
) WHERE moment IS NOT NULL;
