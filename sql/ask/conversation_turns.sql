-- ask: the turns of a conversation in their order, at most $most; text is masked as it was stored
SELECT interaction_id, turn, ts, model, agent_version, intent_pred, intent_true, intent_conf, latency_ms, tokens_in, tokens_cached, tokens_out, cost_usd,
       escalated, escalation_reason, error_type, timed_out, safety_route, workflow, question, answer, sources, extra
FROM interactions WHERE conversation_id = $conversation_id
ORDER BY turn, ts NULLS LAST, interaction_id LIMIT $most
