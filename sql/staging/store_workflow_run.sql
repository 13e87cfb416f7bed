-- workflow runs of the slice: batch
INSERT INTO workflow_runs BY NAME
SELECT run_id, ts, interaction_id, conversation_id, workflow, status, idempotency_key, error_type, slots, id_hash, raw_hash, $batch AS batch_id, line
FROM settled WHERE kind = 'workflow_run';
