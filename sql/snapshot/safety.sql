-- snapshot: who of those that must have a person got one, per hour since $minute_from, per day before it; span_seconds says which
SELECT hour AS start, 3600 AS span_seconds, arm, release, basis, screened, named, reached, n, weight, weight_sq
FROM rollup_safety WHERE hour >= $minute_from
UNION ALL
SELECT date_trunc('day', hour) AS start, 86400 AS span_seconds, arm, release, basis, screened, named, reached, CAST(sum(n) AS BIGINT) AS n,
       sum(weight) AS weight, sum(weight_sq) AS weight_sq
FROM rollup_safety WHERE hour < $minute_from GROUP BY ALL
ORDER BY start, screened, named
