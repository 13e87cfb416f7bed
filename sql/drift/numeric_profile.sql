-- drift: per side of both_sides(is_reference, value DOUBLE): rows, usable rows (finite, not NULL), their mean, population sd, range and about how many distinct values
SELECT
  is_reference,
  count(*) AS total,
  count(value) AS usable,
  avg(value) AS mean,
  stddev_pop(value) AS sd,
  min(value) AS lowest,
  max(value) AS highest,
  approx_count_distinct(value) AS about_distinct
FROM (SELECT is_reference, CASE WHEN isfinite(value) THEN value END AS value FROM both_sides) AS usable_or_null
GROUP BY is_reference
