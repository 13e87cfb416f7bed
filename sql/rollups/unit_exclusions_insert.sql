-- the conversations of a start block that are no units, with their reason; those without one are repeats
INSERT INTO unit_exclusions BY NAME
SELECT c.conversation_id, $rollout_id AS rollout_id, $stage_key AS stage_key, c.arm, c.started_at, CAST($start AS TIMESTAMP) AS block_start,
       coalesce(c.reason, 'repeat') AS reason
FROM unit_candidates AS c
WHERE NOT EXISTS (
  SELECT 1 FROM units AS u
  WHERE u.started_at >= $start AND u.started_at < $end AND u.rollout_id = $rollout_id AND u.stage_key = $stage_key AND u.conversation_id = c.conversation_id
)
ORDER BY c.started_at
