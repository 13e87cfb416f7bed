-- pages: conversations over [$since, $until) per arm, and whether they took part in the comparison
SELECT arm, eligible, CAST(sum(n) AS BIGINT) AS n FROM rollup
WHERE metric = 'traffic_volume' AND start >= $since AND start < $until GROUP BY ALL ORDER BY arm, eligible
