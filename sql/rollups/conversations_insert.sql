-- conversation family: sums per minute of the conversation's start; contact_rate counts who came back within $contact_seconds of the start; resolved = told to be, and no person was needed
INSERT INTO rollup_minute BY NAME
WITH counted AS (
  SELECT date_trunc('minute', c.started_at) AS minute, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release,
         coalesce(c.phase, 'unknown') AS phase, coalesce(c.segment, 'unknown') AS segment, coalesce(c.eligible, TRUE) AS eligible,
         count(*) AS conversations,
         count(c.csat) AS rated, coalesce(sum(c.csat), 0) AS ratings, coalesce(sum(c.csat * c.csat), 0) AS ratings_sq,
         count(CASE WHEN c.returned_at <= c.started_at + $contact_seconds * INTERVAL 1 SECOND THEN 1 END) AS returned,
         count(c.escalated_at) AS escalated,
         count(c.resolved) AS outcomes, count(CASE WHEN c.resolved AND c.escalated_at IS NULL THEN 1 END) AS resolved,
         count(CASE WHEN c.resolved AND c.escalated_at IS NULL AND c.resolved_at IS NOT NULL THEN 1 END) AS timed,
         coalesce(sum(CASE WHEN c.resolved AND c.escalated_at IS NULL THEN date_diff('millisecond', c.started_at, c.resolved_at) / 1000.0 END), 0) AS seconds,
         coalesce(sum(CASE WHEN c.resolved AND c.escalated_at IS NULL THEN pow(date_diff('millisecond', c.started_at, c.resolved_at) / 1000.0, 2) END), 0) AS seconds_sq,
         coalesce(sum(c.cost_usd), 0) AS cost
  FROM conversations AS c
  WHERE c.started_at >= $since AND c.started_at < $until + INTERVAL 1 MINUTE
    AND date_trunc('minute', c.started_at) IN (SELECT minute FROM rollup_stale WHERE family = 'conversation')
  GROUP BY ALL
), sums AS (
  SELECT minute, arm, release, phase, segment, eligible, 'traffic_volume' AS metric, conversations AS n, 0 AS x, 0.0 AS total, 0.0 AS total_sq FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'csat', rated, 0, ratings, ratings_sq FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'csat_response_rate', conversations, rated, 0.0, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'contact_rate', conversations, returned, 0.0, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'escalation_rate', conversations, escalated, 0.0, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'resolution_rate', outcomes, resolved, 0.0, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'resolution_time', timed, 0, seconds, seconds_sq FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'cost_per_resolved', resolved, 0, cost, 0.0 FROM counted
)
SELECT minute, arm, release, phase, segment, eligible, 'conversation' AS family, metric, n, x, total, total_sq FROM sums WHERE n > 0 OR total <> 0
ORDER BY minute
