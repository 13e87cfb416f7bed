-- model calls of the slice: batch
INSERT INTO model_calls BY NAME
SELECT call_id, ts, interaction_id, conversation_id, operation, provider, model, latency_ms, tokens_in, tokens_cached, tokens_out, cost_usd, error_type,
  timed_out, id_hash, raw_hash, $batch AS batch_id, line
FROM settled WHERE kind = 'model_call';
