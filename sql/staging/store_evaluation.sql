-- evaluations of the slice: batch
INSERT INTO evaluations BY NAME
SELECT evaluation_id, ts, interaction_id, conversation_id, name, score, label, evaluator, sampling_rate, id_hash, raw_hash, $batch AS batch_id, line
FROM settled WHERE kind = 'evaluation';
