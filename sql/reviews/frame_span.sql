-- time of the first answer since $since, and of the newest
SELECT min(i.ts) AS first, max(i.ts) AS newest
FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id
WHERE c.arm = 'assistant' AND i.answer IS NOT NULL AND ($since IS NULL OR i.ts >= $since)
