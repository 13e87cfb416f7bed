-- ask for minutes to be recomputed: $minutes under $batch_id
INSERT INTO touched_minutes (minute, batch_id)
SELECT DISTINCT date_trunc('minute', minute) AS minute, CAST($batch_id AS BIGINT) AS batch_id
FROM (SELECT unnest(CAST($minutes AS TIMESTAMP[])) AS minute) AS asked
