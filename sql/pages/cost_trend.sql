-- pages: sums of cost metrics of the assistant per bin of $bin_seconds over [$since, $until): metric, start, n, x, total, total_sq
SELECT metric, time_bucket(to_seconds($bin_seconds), start) AS start, CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq
FROM rollup WHERE list_contains($metrics, metric) AND arm = 'assistant' AND start >= $since AND start < $until
GROUP BY ALL ORDER BY metric, start
