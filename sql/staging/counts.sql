-- source lines of the slice: stored, duplicates, quarantined (a line is in one of them only), heartbeats; and the times spoken of
WITH outcomes AS (
  SELECT line, bool_or(outcome = 'quarantine') AS is_quarantined FROM exceptions GROUP BY line
), good AS (
  SELECT count(DISTINCT line) FILTER (kind <> 'heartbeat') AS stored, count(DISTINCT line) FILTER (kind = 'heartbeat') AS heartbeats,
    min(ts) FILTER (kind <> 'heartbeat') AS first_ts, max(ts) AS last_ts FROM settled
), bad AS (
  SELECT count(*) FILTER (NOT is_quarantined) AS duplicates, count(*) FILTER (is_quarantined) AS quarantined FROM outcomes
)
SELECT stored, duplicates, quarantined, heartbeats, first_ts, last_ts FROM good, bad;
