-- how far each source has spoken: the slice's own source and those whose heartbeats it carries; times only move forward
-- A source whose last word is that it closes is live no more, so that nobody waits for it; its next record makes it live again.
MERGE INTO sources USING (
  SELECT source, max(last_ts) AS last_ts, coalesce(max(last_ts) FILTER (WHERE closing) >= max(last_ts), false) AS closed FROM (
    SELECT $source AS source, CAST($last_ts AS TIMESTAMP) AS last_ts, false AS closing
    UNION ALL SELECT source, ts AS last_ts, coalesce(status = 'closing', false) AS closing FROM staged WHERE kind = 'heartbeat'
  ) GROUP BY source
) AS heard ON sources.source = heard.source
WHEN MATCHED THEN UPDATE SET live = (sources.live OR $live) AND NOT heard.closed, last_ts = greatest(sources.last_ts, heard.last_ts),
  last_seen = greatest(sources.last_seen, $moment)
WHEN NOT MATCHED THEN INSERT (source, live, last_ts, last_seen) VALUES (heard.source, $live AND NOT heard.closed, heard.last_ts, $moment);
