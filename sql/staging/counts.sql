-- source lines of the slice: stored, duplicates, quarantined (a line is in one of them only)
WITH outcomes AS (
  SELECT line, bool_or(outcome = 'quarantine') AS is_quarantined FROM exceptions GROUP BY line
)
SELECT (SELECT count(DISTINCT line) FROM staged WHERE kind <> 'heartbeat') AS stored,
  (SELECT count(*) FROM outcomes WHERE NOT is_quarantined) AS duplicates, (SELECT count(*) FROM outcomes WHERE is_quarantined) AS quarantined,
  (SELECT count(DISTINCT line) FROM staged WHERE kind = 'heartbeat') AS heartbeats,
  (SELECT min(ts) FROM staged WHERE kind <> 'heartbeat') AS first_ts, (SELECT max(ts) FROM staged) AS last_ts;
