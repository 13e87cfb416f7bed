-- snapshot: predicted against true intents in bins of the confidence, per hour since $minute_from, per day before it; span_seconds says which
SELECT hour AS start, 3600 AS span_seconds, arm, release, predicted, truth, basis, bin, n, confidence, weight, weight_sq, weighted_confidence
FROM rollup_intent WHERE hour >= $minute_from
UNION ALL
SELECT date_trunc('day', hour) AS start, 86400 AS span_seconds, arm, release, predicted, truth, basis, bin, CAST(sum(n) AS BIGINT) AS n,
       sum(confidence) AS confidence, sum(weight) AS weight, sum(weight_sq) AS weight_sq, sum(weighted_confidence) AS weighted_confidence
FROM rollup_intent WHERE hour < $minute_from GROUP BY ALL
ORDER BY start, predicted, truth
