-- pages: per trigger and bin of $bin_seconds since $since (traffic of $segment, 'all' for all of it) the strongest evidence and its threshold (natural logs), and whether it fired
SELECT trigger, time_bucket(to_seconds($bin_seconds), block_start) AS start, max(log_e) AS log_e, arg_max(log_threshold, block_start) AS log_threshold,
       bool_or(fired) AS fired, CAST(sum(n_t) AS BIGINT) AS n_t, CAST(sum(n_c) AS BIGINT) AS n_c
FROM readings
WHERE rollout_id = $rollout_id AND segment = $segment AND block_start >= $since
GROUP BY ALL ORDER BY trigger, start
