-- from when to when the changed conversations have turns; ingest gives a conversation the number of the batch that changed it last
SELECT min(c.started_at) AS first_ts, max(greatest(c.started_at, c.last_at)) AS last_ts
FROM conversations AS c JOIN rollup_changed AS r ON r.conversation_id = c.conversation_id
WHERE c.batch_id BETWEEN $first_batch AND $last_batch
