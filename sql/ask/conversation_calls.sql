-- ask: the calls to models and to other systems of a conversation, in time, at most $most
SELECT * FROM (
  SELECT ts, interaction_id, call_id, 'model' AS kind, coalesce(model, 'unknown') AS name, operation, latency_ms, tokens_in, tokens_cached, tokens_out, cost_usd, error_type, timed_out
  FROM model_calls WHERE conversation_id = $conversation_id
  UNION ALL
  SELECT ts, interaction_id, call_id, 'dependency' AS kind, coalesce(dependency, 'unknown') AS name, NULL AS operation, latency_ms, NULL AS tokens_in, NULL AS tokens_cached,
         NULL AS tokens_out, NULL AS cost_usd, error_type, timed_out
  FROM dependency_calls WHERE conversation_id = $conversation_id
) ORDER BY ts, call_id LIMIT $most
