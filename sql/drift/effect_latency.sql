-- drift: mean latency of each conversation in [$since, $until), placed by its first interaction there
SELECT conversation_id, min(ts) AS ts, avg(latency_ms) AS latency_ms FROM interactions
WHERE ts >= $since AND ts < $until AND ($arm IS NULL OR arm = $arm) AND ($release IS NULL OR release = $release) AND isfinite(latency_ms)
GROUP BY conversation_id
