-- workflow runs of the assistant's conversations that acted after execution was switched off and the clients' poll limit (naive UTC). A run that was
-- refused did nothing, one that was compensated took back what it had done
SELECT count(*) AS runs
FROM workflow_runs AS w JOIN conversations AS c ON c.conversation_id = w.conversation_id
WHERE w.ts > $deadline AND w.status IN ('started', 'completed', 'failed') AND c.arm = 'assistant'
