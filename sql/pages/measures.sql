-- pages: sums of every metric per stage span and arm, of eligible conversations. Spans are the parallel lists $starts, $ends (naive UTC, half-open): rows that touch a
-- change of share are left out, so that no sum mixes two shares. n, x, total, total_sq count only what lies before the metric's time of maturity; *_all count everything.
WITH spans AS (
  SELECT unnest(range(len($starts))) AS span, unnest($starts) AS since, unnest($ends) AS until
), matured AS (
  SELECT unnest($metrics) AS metric, unnest($mature_until) AS mature_until
), placed AS (
  SELECT r.metric, s.span, r.arm, r.n, r.x, r.total, r.total_sq, r.start + to_seconds(r.span_seconds) <= m.mature_until AS mature
  FROM rollup AS r
  JOIN matured AS m ON m.metric = r.metric
  JOIN spans AS s ON r.start >= s.since AND r.start + to_seconds(r.span_seconds) <= s.until
  WHERE r.eligible
)
SELECT metric, span, arm,
       CAST(coalesce(sum(n) FILTER (WHERE mature), 0) AS BIGINT) AS n, CAST(coalesce(sum(x) FILTER (WHERE mature), 0) AS BIGINT) AS x,
       coalesce(sum(total) FILTER (WHERE mature), 0.0) AS total, coalesce(sum(total_sq) FILTER (WHERE mature), 0.0) AS total_sq,
       CAST(sum(n) AS BIGINT) AS n_all, CAST(sum(x) AS BIGINT) AS x_all, sum(total) AS total_all, sum(total_sq) AS total_sq_all
FROM placed GROUP BY metric, span, arm ORDER BY metric, span, arm
