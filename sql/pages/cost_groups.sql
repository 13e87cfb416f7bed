-- pages: sums of cost metrics over [$since, $until) per arm, and per arm, release and phase: n, x, total, total_sq, and over bins of $bin_seconds the sums of pairs (total, n)
-- release and phase are NULL in the rows of the whole arm. Pairs: bins with either, total and n squared, and their product, for the interval of a ratio.
WITH chosen AS (
  SELECT metric, arm, release, phase, time_bucket(to_seconds($bin_seconds), start) AS bin, CAST(n AS DOUBLE) AS n, CAST(x AS DOUBLE) AS x, total, total_sq
  FROM rollup WHERE list_contains($metrics, metric) AND start >= $since AND start < $until
), binned AS (
  SELECT metric, arm, release, phase, bin, sum(n) AS n, sum(x) AS x, sum(total) AS total, sum(total_sq) AS total_sq FROM chosen GROUP BY ALL
  UNION ALL
  SELECT metric, arm, NULL AS release, NULL AS phase, bin, sum(n) AS n, sum(x) AS x, sum(total) AS total, sum(total_sq) AS total_sq FROM chosen GROUP BY metric, arm, bin
)
SELECT metric, arm, release, phase, count(*) AS bins, min(bin) AS first, sum(n) AS n, sum(x) AS x, sum(total) AS total, sum(total_sq) AS total_sq,
       sum(total * total) AS yy, sum(n * n) AS xx, sum(total * n) AS xy
FROM binned GROUP BY metric, arm, release, phase ORDER BY first, metric, arm, release NULLS FIRST, phase
