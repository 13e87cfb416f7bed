-- drift: exact first Wasserstein distance and Kolmogorov-Smirnov distance of both_sides(side, value DOUBLE), on all usable rows; one row, NULL where a side is empty
WITH counted AS (
  SELECT value, count(*) FILTER (WHERE side = 'reference') AS r, count(*) FILTER (WHERE side = 'current') AS c
  FROM both_sides WHERE value IS NOT NULL AND isfinite(value) GROUP BY value
),
totals AS (SELECT nullif(sum(r), 0) AS all_r, nullif(sum(c), 0) AS all_c FROM counted),
steps AS (
  SELECT
    value,
    lead(value) OVER (ORDER BY value) AS next_value,
    sum(r) OVER (ORDER BY value ROWS UNBOUNDED PRECEDING) AS below_r,
    sum(c) OVER (ORDER BY value ROWS UNBOUNDED PRECEDING) AS below_c
  FROM counted
)
SELECT
  coalesce(sum(abs(below_r / all_r - below_c / all_c) * (next_value - value)), CASE WHEN count(all_r) > 0 AND count(all_c) > 0 THEN 0 END) AS wasserstein,
  max(abs(below_r / all_r - below_c / all_c)) AS ks
FROM steps, totals
