-- how far the start blocks of a rollout are closed: since when, up to when, and the newest batch the last close saw
SELECT opened_at, closed_until, last_batch FROM unit_progress WHERE rollout_id = $rollout_id
