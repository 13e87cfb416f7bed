-- conversations that started while start blocks were closing ($opened_at..$start) and changed after the newest batch the last close saw
CREATE OR REPLACE TEMP TABLE late_candidates AS
SELECT conversation_id, arm, started_at FROM conversations
WHERE batch_id > $seen_batch AND started_at >= $opened_at AND started_at < $start
