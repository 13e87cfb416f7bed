-- rolled-up sums of [$since, $until) that no facts can have: more events than units, or negative counts
SELECT minute, arm, metric, n, x, total FROM rollup_minute
WHERE minute >= $since AND minute < $until AND (n < 0 OR x < 0 OR x > n OR total_sq < 0)
ORDER BY minute, metric, arm
