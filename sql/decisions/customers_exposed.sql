-- customers whose conversations the assistant served between the likely onset and the cut (naive UTC, half-open)
SELECT count(DISTINCT user_id) AS customers
FROM conversations
WHERE arm = 'assistant' AND started_at >= $since AND started_at < $until
