-- pages: what each model did for the assistant and cost over [$since, $until)
SELECT model, CAST(sum(requests) AS BIGINT) AS requests, CAST(sum(calls) AS BIGINT) AS calls, CAST(sum(errors) AS BIGINT) AS errors,
       CAST(sum(unpriced) AS BIGINT) AS unpriced, CAST(sum(tokens_in) AS BIGINT) AS tokens_in, CAST(sum(tokens_out) AS BIGINT) AS tokens_out, sum(cost_usd) AS cost_usd
FROM model_usage WHERE start >= $since AND start < $until AND arm = 'assistant' GROUP BY model ORDER BY requests DESC, model
