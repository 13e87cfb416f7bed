-- pages: model cost of everything per day (UTC) since $since, in USD, as the weekly review counts it: the cost of the turns
SELECT CAST(date_trunc('day', start) AS DATE) AS day, sum(total) AS cost FROM rollup
WHERE metric = 'cost_per_1k_tokens' AND start >= $since GROUP BY ALL ORDER BY day
