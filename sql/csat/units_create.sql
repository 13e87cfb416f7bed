-- CSAT: the units of [$since, $until) as a temporary table, one row per eligible conversation of both arms: mature by $as_of or not, its rating 1..5
-- within the maturity ($maturity seconds; NULL: silent), early and late ratings apart. `counted`: first of its customer in arm, phase and week (repeat
-- customers are not independent), in a stage that both arms served; where versions are not logged of all and no stage is shared, all are kept.
CREATE OR REPLACE TEMP TABLE csat_units AS
WITH chosen AS (
  SELECT c.conversation_id, c.arm, c.started_at, date_trunc('week', c.started_at) AS week, coalesce(c.phase, 'unknown') AS phase, c.flag_version,
         coalesce(c.segment, 'unknown') AS segment, coalesce(c.region, 'unknown') AS region, coalesce(c.channel, 'unknown') AS channel,
         coalesce(c.intent_first, 'unknown') AS intent, c.started_at < $as_of - $maturity * INTERVAL 1 SECOND AS mature,
         CASE WHEN c.csat_at IS NULL OR c.csat_at <= $as_of THEN CAST(round(c.csat) AS INTEGER) END AS rated, c.csat_at,
         c.csat_at > c.started_at + $maturity * INTERVAL 1 SECOND AS late,
         c.turns, c.escalated_at IS NOT NULL AND c.escalated_at <= c.started_at + $maturity * INTERVAL 1 SECOND AS escalated,
         c.resolved, c.returned_at IS NOT NULL AND c.returned_at <= c.started_at + $maturity * INTERVAL 1 SECOND AS returned,
         row_number() OVER (PARTITION BY coalesce(c.user_id, c.conversation_id), c.arm, c.phase, date_trunc('week', c.started_at)
                            ORDER BY c.started_at, c.conversation_id) AS place
  FROM conversations AS c
  WHERE c.started_at >= $since AND c.started_at < $until AND c.arm IN ('assistant', 'baseline') AND coalesce(c.eligible, TRUE)
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout)
    AND (c.arm = 'baseline' OR $release = '' OR c.release IS NULL OR c.release = $release)
), shared AS (
  SELECT phase, flag_version FROM chosen GROUP BY phase, flag_version HAVING count(DISTINCT arm) = 2
), kept AS (
  SELECT (SELECT count(*) FROM chosen WHERE flag_version IS NULL) > 0 AND (SELECT count(*) FROM shared) = 0 AS everything
)
SELECT c.conversation_id, c.arm, c.started_at, c.week, c.phase, coalesce(c.flag_version, 0) AS version, c.segment, c.region, c.channel, c.intent,
       c.mature, CASE WHEN c.mature AND NOT coalesce(c.late, FALSE) THEN c.rated END AS rating,
       CASE WHEN c.late THEN c.rated END AS late, CASE WHEN NOT c.mature THEN c.rated END AS early,
       date_diff('second', c.started_at, c.csat_at) AS delay, c.turns, c.escalated, c.resolved, c.returned,
       c.place = 1 AS first, k.everything OR b.phase IS NOT NULL AS together, c.place = 1 AND (k.everything OR b.phase IS NOT NULL) AS counted
FROM chosen AS c CROSS JOIN kept AS k LEFT JOIN shared AS b ON b.phase = c.phase AND b.flag_version IS NOT DISTINCT FROM c.flag_version
