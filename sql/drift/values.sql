-- drift: rows of each side for each value of both_sides(is_reference, value DOUBLE, weight); for columns of few values
SELECT
  value AS bin,
  coalesce(sum(weight) FILTER (WHERE is_reference), 0) AS reference,
  coalesce(sum(weight) FILTER (WHERE NOT is_reference), 0) AS current
FROM both_sides WHERE value IS NOT NULL AND isfinite(value) GROUP BY value ORDER BY value
