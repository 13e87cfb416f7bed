-- pages: the last reading of every stream of a rollout: evidence against its threshold (natural logs), verdict, and the block it is from
SELECT trigger, segment, last(metric ORDER BY block_start) AS metric, last(action ORDER BY block_start) AS action, last(verdict ORDER BY block_start) AS verdict,
       last(log_e ORDER BY block_start) AS log_e, last(log_threshold ORDER BY block_start) AS log_threshold, bool_or(fired) AS ever_fired,
       last(weight_spent ORDER BY block_start) AS weight_spent, last(onset ORDER BY block_start) AS onset,
       max(block_start) AS block_start, last(span_seconds ORDER BY block_start) AS span_seconds
FROM readings WHERE rollout_id = $rollout_id GROUP BY trigger, segment ORDER BY trigger, segment
