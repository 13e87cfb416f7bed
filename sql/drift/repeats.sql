-- drift: distinct values a side of both_sides(is_reference, value DOUBLE), counted exactly; for columns that look like row numbers
SELECT
  count(DISTINCT value) FILTER (WHERE is_reference) AS reference,
  count(DISTINCT value) FILTER (WHERE NOT is_reference) AS current,
  bool_and(value = floor(value)) AS whole
FROM both_sides WHERE isfinite(value)
