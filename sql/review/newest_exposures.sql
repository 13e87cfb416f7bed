-- review: the newest logged exposures of eligible customers of this rollout and version of the flag, as they were at batch $last_batch; columns of decisions/newest_exposures
SELECT x.exposure_id, x.user_id, x.variant FROM exposures AS x
WHERE x.ts >= $since AND x.rollout_id = $rollout_id AND x.flag_version = $flag_version AND x.eligible AND x.user_id IS NOT NULL
  AND x.variant IN ('assistant', 'baseline') AND x.batch_id <= $last_batch
ORDER BY x.ts DESC, x.exposure_id LIMIT $newest
