-- one metric per arm in steps of $grain ('minute', 'hour', 'day' or 'week') over [$since, $until), of eligible conversations only unless $everyone
SELECT date_trunc($grain, minute) AS step, arm, CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq
FROM rollup_minute
WHERE metric = $metric AND minute >= $since AND minute < $until AND (eligible OR $everyone)
GROUP BY date_trunc($grain, minute), arm
ORDER BY step, arm
