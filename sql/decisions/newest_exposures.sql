-- the newest logged exposures of eligible customers that name this rollout and this version of the flag; what a client logs without them is its own affair
SELECT exposure_id, user_id, variant FROM exposures
WHERE ts >= $since AND rollout_id = $rollout_id AND flag_version = $flag_version AND eligible AND user_id IS NOT NULL AND variant IN ('assistant', 'baseline')
ORDER BY ts DESC, exposure_id LIMIT $newest
