-- drift: one row for a numeric column of both_sides(side, value DOUBLE): rows, usable rows (finite, not NULL), distinct values, mean, population sd, range, per side
SELECT
  count(*) FILTER (WHERE side = 'reference') AS reference_rows,
  count(*) FILTER (WHERE side = 'current') AS current_rows,
  count(*) FILTER (WHERE side = 'reference' AND usable) AS reference_usable,
  count(*) FILTER (WHERE side = 'current' AND usable) AS current_usable,
  avg(value) FILTER (WHERE side = 'reference' AND usable) AS reference_mean,
  avg(value) FILTER (WHERE side = 'current' AND usable) AS current_mean,
  stddev_pop(value) FILTER (WHERE side = 'reference' AND usable) AS reference_sd,
  min(value) FILTER (WHERE side = 'reference' AND usable) AS reference_min,
  max(value) FILTER (WHERE side = 'reference' AND usable) AS reference_max,
  min(value) FILTER (WHERE side = 'current' AND usable) AS current_min,
  max(value) FILTER (WHERE side = 'current' AND usable) AS current_max
FROM (SELECT side, value, value IS NOT NULL AND isfinite(value) AS usable FROM both_sides) AS marked
