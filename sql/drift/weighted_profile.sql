-- drift: as numeric_profile, where a row of both_sides(is_reference, value DOUBLE, weight) stands for `weight` rows; the sd in two passes
WITH marked AS (SELECT *, value IS NOT NULL AND isfinite(value) AS usable FROM both_sides),
means AS (
  SELECT is_reference, sum(weight * value) FILTER (WHERE usable) / sum(weight) FILTER (WHERE usable) AS mean
  FROM marked GROUP BY is_reference
)
SELECT
  is_reference,
  sum(weight) AS total,
  sum(weight) FILTER (WHERE usable) AS usable,
  any_value(mean) AS mean,
  sqrt(sum(weight * (value - mean) ^ 2) FILTER (WHERE usable) / sum(weight) FILTER (WHERE usable)) AS sd,
  min(value) FILTER (WHERE usable) AS lowest,
  max(value) FILTER (WHERE usable) AS highest,
  approx_count_distinct(value) FILTER (WHERE usable) AS about_distinct
FROM marked JOIN means USING (is_reference)
GROUP BY is_reference
