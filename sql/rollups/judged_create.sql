-- the answers (or whole conversations) that the evaluations of the waiting batches judge
CREATE OR REPLACE TEMP TABLE rollup_judged AS
SELECT interaction_id, CASE WHEN interaction_id IS NULL THEN conversation_id END AS conversation_id, min(ts) AS first_ts, max(ts) AS last_ts
FROM evaluations
WHERE batch_id BETWEEN $first_batch AND $last_batch AND batch_id IN (SELECT batch_id FROM rollup_pending)
GROUP BY interaction_id, CASE WHEN interaction_id IS NULL THEN conversation_id END
