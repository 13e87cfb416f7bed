-- customers and conversations that the assistant served, begun in [$since, $until)
SELECT count(DISTINCT coalesce(user_id, conversation_id)) AS customers, count(*) AS conversations
FROM conversations WHERE arm = 'assistant' AND started_at >= $since AND started_at < $until
