-- pages: sums of the metric $metric per bin of $bin_seconds, stage and arm, of eligible conversations before the metric's time of maturity $mature_until, of one $segment or of all (NULL).
-- Stages are the parallel lists $starts, $ends (naive UTC, half-open); rows that touch a change of share are left out. Adding up the bins of a stage gives what was known at any time.
WITH spans AS (
  SELECT unnest(range(len($starts))) AS span, unnest($starts) AS since, unnest($ends) AS until
)
SELECT s.span, time_bucket(to_seconds($bin_seconds), r.start) AS start, r.arm,
       CAST(sum(r.n) AS BIGINT) AS n, CAST(sum(r.x) AS BIGINT) AS x, sum(r.total) AS total, sum(r.total_sq) AS total_sq
FROM rollup AS r
JOIN spans AS s ON r.start >= s.since AND r.start + to_seconds(r.span_seconds) <= s.until
WHERE r.eligible AND r.metric = $metric AND r.start + to_seconds(r.span_seconds) <= $mature_until AND ($segment IS NULL OR coalesce(r.segment, '(none)') = $segment)
GROUP BY ALL ORDER BY start, s.span, r.arm
