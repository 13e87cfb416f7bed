-- how far each source has spoken: the slice's own source and those whose heartbeats it carries; times only move forward
MERGE INTO sources USING (
  SELECT source, max(last_ts) AS last_ts FROM (
    SELECT $source AS source, CAST($last_ts AS TIMESTAMP) AS last_ts
    UNION ALL SELECT source, ts AS last_ts FROM staged WHERE kind = 'heartbeat'
  ) GROUP BY source
) AS heard ON sources.source = heard.source
WHEN MATCHED THEN UPDATE SET live = sources.live OR $live, last_ts = greatest(sources.last_ts, heard.last_ts), last_seen = greatest(sources.last_seen, $moment)
WHEN NOT MATCHED THEN INSERT (source, live, last_ts, last_seen) VALUES (heard.source, $live, heard.last_ts, $moment);
