-- how far the slice's source has spoken, and those whose heartbeats it carries
INSERT INTO heard
SELECT $source AS source, CAST($last_ts AS TIMESTAMP) AS last_ts, false AS closing, $live AS live
UNION ALL SELECT source, ts AS last_ts, coalesce(status = 'closing', false) AS closing, $live AS live FROM settled WHERE kind = 'heartbeat';
