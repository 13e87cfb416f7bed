-- drift: per side of both_sides(is_reference, value VARCHAR, weight): rows, rows with a value (empty text is none) and about how many distinct values
SELECT
  is_reference,
  sum(weight) AS total,
  sum(weight) FILTER (WHERE value <> '') AS usable,
  approx_count_distinct(value) FILTER (WHERE value <> '') AS about_distinct
FROM both_sides GROUP BY is_reference
