-- pages: conversations since $since (of $arm and $release, '' for all) by what the safety screen saw and whether a person got them (basis 'screen'), and answers that people audited for their
-- routing by what the screen saw, what the person named and whether a person was reached at once, late or not at all; weights say how many of the traffic one stands for
SELECT basis, screened, named, reached, CAST(sum(n) AS BIGINT) AS n, sum(weight) AS weight, sum(weight_sq) AS weight_sq
FROM safety
WHERE start >= $since AND ($arm = '' OR arm = $arm) AND ($release = '' OR release = $release)
GROUP BY ALL ORDER BY basis, screened, named, reached
