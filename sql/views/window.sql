-- sums of every metric per arm over [$since, $until), of eligible conversations only unless $everyone; optional $release, $phase and $segment
SELECT metric, arm, CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq
FROM rollup_minute
WHERE minute >= $since AND minute < $until AND (eligible OR $everyone)
  AND ($release IS NULL OR release = $release) AND ($phase IS NULL OR phase = $phase) AND ($segment IS NULL OR segment = $segment)
GROUP BY metric, arm
ORDER BY metric, arm
