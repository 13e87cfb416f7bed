-- the minutes whose rollups this batch made stale: where a touched conversation starts (or started), and where a stored record lies
INSERT INTO touched_minutes
SELECT DISTINCT date_trunc('minute', moment) AS minute, $batch AS batch_id FROM (
  SELECT started_at AS moment FROM merged
  UNION ALL SELECT started_at AS moment FROM existing WHERE id_hash IN (SELECT id_hash FROM changes)
  UNION ALL SELECT started_at AS moment FROM returns
  UNION ALL SELECT ts AS moment FROM staged WHERE kind <> 'heartbeat'
) WHERE moment IS NOT NULL;
