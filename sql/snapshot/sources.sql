-- snapshot: every source: live or not, the newest time it told, and when it was last heard
SELECT source, live, last_ts, last_seen FROM sources ORDER BY source
