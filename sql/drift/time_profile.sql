-- drift: per side of both_sides(is_reference, value TIMESTAMP, weight): rows, rows with a time, the first and the last of them
SELECT
  is_reference,
  sum(weight) AS total,
  sum(weight) FILTER (WHERE value IS NOT NULL) AS usable,
  CAST(min(value) AS VARCHAR) AS lowest,
  CAST(max(value) AS VARCHAR) AS highest
FROM both_sides GROUP BY is_reference
