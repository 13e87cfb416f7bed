-- drift: all rows with a value of both_sides(is_reference, value VARCHAR, weight): Jensen-Shannon distance (natural logarithm), population stability index, chi-square with its cells (categories expected fewer than 5 times on a side share one cell), what moved most and what is new
WITH counted AS MATERIALIZED (
  SELECT value,
    coalesce(sum(weight) FILTER (WHERE is_reference), 0) AS r,
    coalesce(sum(weight) FILTER (WHERE NOT is_reference), 0) AS c
  FROM both_sides WHERE value <> '' GROUP BY value HAVING sum(weight) > 0
),
totals AS (
  SELECT sum(r) AS all_r, sum(c) AS all_c,
    min(r) FILTER (WHERE r > 0) / sum(r) AS least_r, min(c) FILTER (WHERE c > 0) / sum(c) AS least_c
  FROM counted
),
shares AS (
  SELECT value, r, c, all_r, all_c, r / all_r AS p, c / all_c AS q, (r / all_r + c / all_c) / 2 AS m,
    CASE WHEN r > 0 THEN r / all_r WHEN least_r <= 0.0001 THEN least_r / 1e6 ELSE 0.0001 END AS floored_p,
    CASE WHEN c > 0 THEN c / all_c WHEN least_c <= 0.0001 THEN least_c / 1e6 ELSE 0.0001 END AS floored_q,
    (r + c) * least(all_r, all_c) / (all_r + all_c) < 5 AS rare
  FROM counted, totals
),
divergence AS (
  SELECT
    (sum(CASE WHEN p > 0 THEN p * ln(p / m) ELSE 0 END) + sum(CASE WHEN q > 0 THEN q * ln(q / m) ELSE 0 END)) / 2 AS js,
    sum((floored_p - floored_q) * ln(floored_p / floored_q)) AS psi,
    count(*) FILTER (WHERE r > 0) AS reference_distinct,
    count(*) FILTER (WHERE c > 0) AS current_distinct
  FROM shares
),
cells AS (
  SELECT sum(r) AS r, sum(c) AS c, any_value(all_r) AS all_r, any_value(all_c) AS all_c
  FROM shares GROUP BY CASE WHEN rare THEN NULL ELSE value END, rare
),
chi AS (
  SELECT count(*) AS cells,
    sum((r - (r + c) * all_r / (all_r + all_c)) ^ 2 / ((r + c) * all_r / (all_r + all_c))
      + (c - (r + c) * all_c / (all_r + all_c)) ^ 2 / ((r + c) * all_c / (all_r + all_c))) AS chi_square
  FROM cells
),
moved AS (
  SELECT list({'value': value, 'before': p, 'now': q} ORDER BY abs(p - q) DESC, value) AS moved
  FROM (SELECT * FROM shares WHERE p <> q ORDER BY abs(p - q) DESC, value LIMIT 5) AS most
),
fresh AS (
  SELECT list({'value': value, 'share': q} ORDER BY q DESC, value) AS fresh
  FROM (SELECT * FROM shares WHERE r = 0 ORDER BY q DESC, value LIMIT 10) AS unseen
)
SELECT sqrt(greatest(js, 0)) AS jensen_shannon, psi, reference_distinct, current_distinct, chi_square, cells, moved, fresh
FROM divergence, chi, moved, fresh
