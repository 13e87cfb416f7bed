-- ask: what the customer said afterwards, in time, at most $most; comments are masked as they were stored
SELECT ts, csat, resolved, comment FROM feedback WHERE conversation_id = $conversation_id ORDER BY ts, feedback_id LIMIT $most
