-- latency quantiles in ms per arm over the whole hours in [$since, $until), within 1 % of the exact ones; $quantiles is a list in (0, 1]
WITH histogram AS (
  SELECT arm, bucket, sum(n) AS n FROM rollup_latency
  WHERE hour >= $since AND hour < $until AND (eligible OR $everyone) GROUP BY arm, bucket
), ranked AS (
  SELECT arm, bucket, sum(n) OVER (PARTITION BY arm ORDER BY bucket) AS below, sum(n) OVER (PARTITION BY arm) AS n FROM histogram
), wanted AS (
  SELECT unnest(CAST($quantiles AS DOUBLE[])) AS quantile
)
SELECT w.quantile, r.arm, CAST(max(r.n) AS BIGINT) AS n, 2 * pow(1.01 / 0.99, min(r.bucket)) / (1.01 / 0.99 + 1) AS latency_ms
FROM ranked AS r JOIN wanted AS w ON r.below >= greatest(1, ceil(w.quantile * r.n))
GROUP BY w.quantile, r.arm
ORDER BY w.quantile, r.arm
