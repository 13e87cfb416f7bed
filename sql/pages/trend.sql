-- pages: sums of the metrics $metrics per bin of $bin_seconds and arm over [$since, $until), of eligible conversations
SELECT metric, time_bucket(to_seconds($bin_seconds), start) AS start, arm,
       CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq
FROM rollup
WHERE list_contains($metrics, metric) AND start >= $since AND start < $until AND eligible
GROUP BY ALL ORDER BY metric, start, arm
