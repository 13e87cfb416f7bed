-- model usage over [$since, $until): requests and calls per model and arm with their tokens, cost, errors and unpriced calls
SELECT model, arm, CAST(sum(requests) AS BIGINT) AS requests, CAST(sum(calls) AS BIGINT) AS calls, CAST(sum(errors) AS BIGINT) AS errors,
       CAST(sum(unpriced) AS BIGINT) AS unpriced, CAST(sum(tokens_in) AS BIGINT) AS tokens_in, CAST(sum(tokens_cached) AS BIGINT) AS tokens_cached,
       CAST(sum(tokens_out) AS BIGINT) AS tokens_out, sum(cost_usd) AS cost_usd
FROM rollup_model
WHERE minute >= $since AND minute < $until
GROUP BY model, arm
ORDER BY model, arm
