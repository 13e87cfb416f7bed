-- experiment: the rollouts that have units, the newest first
SELECT rollout_id, count(*) AS units FROM units GROUP BY rollout_id ORDER BY max(started_at) DESC
