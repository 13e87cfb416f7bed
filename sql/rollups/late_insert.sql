-- conversations of closed start blocks that no close has seen came too late; $earliest bounds the search in time (a start only ever moves earlier)
INSERT INTO unit_exclusions BY NAME
SELECT l.conversation_id, $rollout_id AS rollout_id, b.stage_key, l.arm, l.started_at, b.block_start, 'late' AS reason
FROM late_candidates AS l
JOIN unit_blocks AS b ON b.rollout_id = $rollout_id AND b.block_end > $earliest AND l.started_at >= b.block_start AND l.started_at < b.block_end
WHERE NOT EXISTS (SELECT 1 FROM units AS u WHERE u.started_at >= $earliest AND u.rollout_id = $rollout_id AND u.conversation_id = l.conversation_id)
  AND NOT EXISTS (SELECT 1 FROM unit_exclusions AS e WHERE e.started_at >= $earliest AND e.rollout_id = $rollout_id AND e.conversation_id = l.conversation_id)
