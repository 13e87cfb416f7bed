-- pages: what the models of the assistant cost per day (UTC) over [$since, $until), in USD, with the requests behind it and those without a price
SELECT CAST(date_trunc('day', start) AS DATE) AS day, sum(cost_usd) AS cost_usd, CAST(sum(requests) AS BIGINT) AS requests, CAST(sum(unpriced) AS BIGINT) AS unpriced
FROM model_usage WHERE start >= $since AND start < $until AND arm = 'assistant' GROUP BY ALL ORDER BY day
