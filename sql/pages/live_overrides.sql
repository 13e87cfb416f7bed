-- pages: triggers of the rollout $rollout_id that a person set aside, with when that was ended, if it was, newest first
SELECT a.override_id, a.trigger, a.actor, a.reason, a.at, a.until, e.at AS ended_at
FROM overrides AS a LEFT JOIN overrides AS e ON e.override_id = a.override_id AND e.event = 'ended'
WHERE a.event = 'added' AND a.rollout_id = $rollout_id ORDER BY a.seq DESC
