-- dependency calls of the slice: batch
INSERT INTO dependency_calls BY NAME
SELECT call_id, ts, interaction_id, conversation_id, dependency, latency_ms, error_type, timed_out, id_hash, raw_hash, $batch AS batch_id, line
FROM settled WHERE kind = 'dependency_call';
