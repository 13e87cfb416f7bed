-- how late labels came: per metric the delay in minutes within which 95 % of them had arrived; conversations of the last four days are left out where there are older
-- ones, because their late labels are still to come
WITH newest AS (SELECT max(started_at) AS until, min(started_at) AS since FROM conversations WHERE started_at IS NOT NULL),
old AS (
  SELECT c.* FROM conversations AS c, newest AS n
  WHERE c.started_at <= CASE WHEN n.since < n.until - INTERVAL 4 DAY THEN n.until - INTERVAL 4 DAY ELSE n.until END
), delay AS (
  SELECT 'escalation_rate' AS metric, date_diff('millisecond', started_at, escalated_at) / 60000.0 AS minutes FROM old WHERE escalated_at >= started_at
  UNION ALL
  SELECT 'csat', date_diff('millisecond', started_at, csat_at) / 60000.0 FROM old WHERE csat_at >= started_at
  UNION ALL
  SELECT 'contact_rate', date_diff('millisecond', started_at, returned_at) / 60000.0 FROM old WHERE returned_at > started_at AND returned_at <= started_at + INTERVAL 72 HOUR
  UNION ALL
  SELECT metric, date_diff('millisecond', answered_at, judged_at) / 60000.0 FROM judgements WHERE judged_at >= answered_at
)
SELECT metric, quantile_disc(minutes, 0.95) AS quantile_minutes, count(*) AS labels FROM delay GROUP BY metric ORDER BY metric
