-- how far each source has spoken; times only move forward
-- A source whose last word is that it closes is live no more, so that nobody waits for it; its next record makes it live again.
MERGE INTO sources USING (
  SELECT source, max(last_ts) AS last_ts, bool_or(live) AS live, coalesce(max(last_ts) FILTER (WHERE closing) >= max(last_ts), false) AS closed
  FROM heard GROUP BY source
) AS said ON sources.source = said.source
WHEN MATCHED THEN UPDATE SET live = (sources.live OR said.live) AND NOT said.closed, last_ts = greatest(sources.last_ts, said.last_ts),
  last_seen = greatest(sources.last_seen, $moment)
WHEN NOT MATCHED THEN INSERT (source, live, last_ts, last_seen) VALUES (said.source, said.live AND NOT said.closed, said.last_ts, $moment);
