-- a further start block of a rollout is closed
UPDATE unit_progress SET closed_until = $end, last_batch = $last_batch WHERE rollout_id = $rollout_id
