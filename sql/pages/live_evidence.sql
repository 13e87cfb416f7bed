-- pages: per trigger and bin of $bin_seconds since $since (all traffic) the strongest evidence and its threshold (natural logs), whether it fired, and what was counted in
-- the blocks from $counted_from on: events of units, for ratings the number of answers and the sums of their levels and squared levels
SELECT trigger, time_bucket(to_seconds($bin_seconds), block_start) AS start, max(log_e) AS log_e, arg_max(log_threshold, block_start) AS log_threshold,
       bool_or(fired) AS fired,
       CAST(coalesce(sum(n_t) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS n_t, CAST(coalesce(sum(x_t) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS x_t,
       CAST(coalesce(sum(n_c) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS n_c, CAST(coalesce(sum(x_c) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS x_c,
       CAST(coalesce(sum(list_sum(k_t)) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS rated_t,
       CAST(coalesce(sum(list_sum(list_transform(k_t, lambda v, i: v * i))) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS sum_t,
       CAST(coalesce(sum(list_sum(list_transform(k_t, lambda v, i: v * i * i))) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS square_t,
       CAST(coalesce(sum(list_sum(k_c)) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS rated_c,
       CAST(coalesce(sum(list_sum(list_transform(k_c, lambda v, i: v * i))) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS sum_c,
       CAST(coalesce(sum(list_sum(list_transform(k_c, lambda v, i: v * i * i))) FILTER (WHERE block_start >= $counted_from), 0) AS BIGINT) AS square_c
FROM readings
WHERE rollout_id = $rollout_id AND segment = 'all' AND block_start >= $since
GROUP BY ALL ORDER BY trigger, start
