-- ask: the workflow runs of a conversation in time, at most $most; the idempotency key stays behind
SELECT ts, interaction_id, workflow, status, error_type, slots
FROM workflow_runs WHERE conversation_id = $conversation_id ORDER BY ts, run_id LIMIT $most
