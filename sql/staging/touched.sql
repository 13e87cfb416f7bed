-- the minutes in which the batch has records
INSERT INTO touched_minutes
SELECT DISTINCT date_trunc('minute', ts) AS minute, $batch AS batch_id FROM settled WHERE kind <> 'heartbeat' AND ts IS NOT NULL;
