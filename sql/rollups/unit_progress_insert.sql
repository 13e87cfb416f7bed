-- the first start block of a rollout is closed
INSERT INTO unit_progress (rollout_id, opened_at, closed_until, last_batch) VALUES ($rollout_id, $start, $end, $last_batch)
