-- pages: what the assistant took customers' messages for since $since (of $release, '' for all): answers n by predicted and true intent, where the truth comes from, confidence bin, and
-- whether labels may no longer change; weights say how many answers of the traffic one stands for. Hours of the last two days, whole days before.
SELECT predicted, truth, basis, bin, start + to_seconds(span_seconds) <= $mature_until AS mature, CAST(sum(n) AS BIGINT) AS n,
       sum(confidence) AS confidence, sum(weight) AS weight, sum(weight_sq) AS weight_sq, sum(weighted_confidence) AS weighted_confidence
FROM intents
WHERE start >= $since AND arm = 'assistant' AND ($release = '' OR release = $release)
GROUP BY ALL ORDER BY predicted, truth, basis, bin, mature
