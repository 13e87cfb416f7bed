-- trade-off: when the conversations of a rollout (or of all) began, first and last, and the newest request
SELECT min(c.started_at) AS first_at, max(c.last_at) AS last_at, count(*) AS conversations
FROM conversations AS c WHERE c.started_at IS NOT NULL AND ($rollout = '' OR c.rollout_id = $rollout) AND ($release = '' OR c.release = $release)
