-- interactions of the slice: batch
INSERT INTO interactions BY NAME
SELECT interaction_id, conversation_id, turn, ts, user_id, segment, region, channel, arm, phase, release, model, agent_version, intent_pred, intent_true,
  intent_conf, latency_ms, tokens_in, tokens_cached, tokens_out, cost_usd, csat, escalated, escalation_reason, resolved, error_type, timed_out, safety_route,
  workflow, question, answer, sources, extra, id_hash, raw_hash, $batch AS batch_id, line
FROM settled WHERE kind = 'interaction';
