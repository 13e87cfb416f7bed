-- review: model cost per day in [$from, $until), in billionths of a dollar, with the requests that used tokens and those without a price
SELECT CAST(i.ts AS DATE) AS day, CAST(coalesce(sum(CAST(round(i.cost_usd * 1e9) AS BIGINT)), 0) AS HUGEINT) AS cost,
       count(*) FILTER (coalesce(i.tokens_in, 0) + coalesce(i.tokens_out, 0) > 0) AS used,
       count(*) FILTER (coalesce(i.tokens_in, 0) + coalesce(i.tokens_out, 0) > 0 AND i.cost_usd IS NULL) AS unpriced
FROM interactions AS i WHERE i.ts >= $from AND i.ts < $until AND i.batch_id <= $last_batch GROUP BY ALL ORDER BY ALL
