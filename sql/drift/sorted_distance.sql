-- drift: exact first Wasserstein and Kolmogorov-Smirnov distance of both_sides(value DOUBLE, step), each times rows of the reference times rows of the current side; `step` is what a row adds to the difference of the two distribution functions. For columns of many values: one sort, then one pass
WITH sorted AS (
  SELECT value, step FROM both_sides WHERE value IS NOT NULL AND isfinite(value) AND step <> 0 ORDER BY value
),
steps AS (
  SELECT value, lead(value) OVER () AS next_value, sum(step) OVER (ROWS UNBOUNDED PRECEDING) AS difference FROM sorted
)
SELECT
  coalesce(sum(abs(difference) * (next_value - value)), 0) AS wasserstein,
  max(abs(difference)) FILTER (WHERE next_value > value) AS ks
FROM steps
