-- requests slower than $slo_ms per arm over the whole hours in [$since, $until); those within 2 % of the limit may fall on either side
SELECT arm, CAST(sum(n) AS BIGINT) AS n,
       CAST(coalesce(sum(CASE WHEN bucket > ceil(ln($slo_ms) / ln(1.01 / 0.99)) THEN n END), 0) AS BIGINT) AS x
FROM rollup_latency
WHERE hour >= $since AND hour < $until AND (eligible OR $everyone)
GROUP BY arm
ORDER BY arm
