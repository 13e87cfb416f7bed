-- pages: what each model of the assistant did per bin of $bin_seconds (whole hours) over [$since, $until): requests, calls, errors, calls without a price, tokens, cost
SELECT model, time_bucket(to_seconds($bin_seconds), start) AS start, CAST(sum(requests) AS BIGINT) AS requests, CAST(sum(calls) AS BIGINT) AS calls,
       CAST(sum(errors) AS BIGINT) AS errors, CAST(sum(unpriced) AS BIGINT) AS unpriced, CAST(sum(tokens_in) AS BIGINT) AS tokens_in,
       CAST(sum(tokens_cached) AS BIGINT) AS tokens_cached, CAST(sum(tokens_out) AS BIGINT) AS tokens_out, sum(cost_usd) AS cost_usd
FROM model_usage WHERE arm = 'assistant' AND start >= $since AND start < $until GROUP BY ALL ORDER BY start, model
