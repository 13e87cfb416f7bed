-- feedback of the slice: batch
INSERT INTO feedback BY NAME
SELECT feedback_id, ts, conversation_id, csat, resolved, comment, id_hash, raw_hash, $batch AS batch_id, line FROM settled WHERE kind = 'feedback';
