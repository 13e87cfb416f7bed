-- ask: what detectors and people said of a conversation and of its answers, in time, at most $most
SELECT ts, interaction_id, name, score, label, evaluator, sampling_rate, starts_with(evaluation_id, 'targeted:') AS targeted
FROM evaluations WHERE conversation_id = $conversation_id OR interaction_id IN (SELECT interaction_id FROM interactions WHERE conversation_id = $conversation_id)
ORDER BY ts, evaluation_id LIMIT $most
