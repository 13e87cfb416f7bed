-- drift: Jensen-Shannon distance (natural logarithm) of both_sides(side, value VARCHAR) on all rows with a value, and chi-square with its cells; categories expected fewer than 5 times on a side share one cell
WITH counted AS (
  SELECT value, count(*) FILTER (WHERE side = 'reference') AS r, count(*) FILTER (WHERE side = 'current') AS c
  FROM both_sides WHERE value IS NOT NULL GROUP BY value
),
totals AS (SELECT nullif(sum(r), 0) AS all_r, nullif(sum(c), 0) AS all_c FROM counted),
shares AS (
  SELECT value, r, c, all_r, all_c, r / all_r AS p, c / all_c AS q, (r / all_r + c / all_c) / 2 AS m,
    (r + c) * least(all_r, all_c) / (all_r + all_c) < 5 AS rare
  FROM counted, totals
),
divergence AS (
  SELECT sum(CASE WHEN p > 0 THEN p * ln(p / m) ELSE 0 END) / 2 + sum(CASE WHEN q > 0 THEN q * ln(q / m) ELSE 0 END) / 2 AS js
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
)
SELECT sqrt(greatest(js, 0)) AS jensen_shannon, chi_square, cells FROM divergence, chi
