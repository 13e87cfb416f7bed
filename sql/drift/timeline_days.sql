-- drift: what the facts hold per day of [$since, $until): a day whose rows and newest batch are as before needs no second look
SELECT date_trunc('day', ts) AS day, count(*) AS interactions, max(batch_id) AS newest_batch FROM interactions
WHERE ts >= $since AND ts < $until GROUP BY day ORDER BY day
