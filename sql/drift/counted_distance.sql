-- drift: as sorted_distance, for columns whose values repeat: rows are added up by value before the sort
WITH counted AS (
  SELECT value, sum(step) AS step
  FROM both_sides WHERE value IS NOT NULL AND isfinite(value) AND step <> 0 GROUP BY value ORDER BY value
),
steps AS (
  SELECT value, lead(value) OVER () AS next_value, sum(step) OVER (ROWS UNBOUNDED PRECEDING) AS difference FROM counted
)
SELECT
  coalesce(sum(abs(difference) * (next_value - value)), 0) AS wasserstein,
  max(abs(difference)) FILTER (WHERE next_value > value) AS ks
FROM steps
