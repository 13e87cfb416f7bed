-- pages: messages to people by what became of them: how many, the oldest of them, and the newest error of those that could not be delivered
SELECT status, count(*) AS messages, min(created_at) AS oldest, last(error ORDER BY created_at) AS error FROM outbox GROUP BY status ORDER BY status
