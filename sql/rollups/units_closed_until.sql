-- up to when the start blocks of each rollout are closed
SELECT rollout_id, closed_until FROM unit_progress
