-- remember the closed start block
INSERT INTO unit_blocks (rollout_id, stage_key, block_start, block_end, counted, repeats, late, ineligible, last_batch)
VALUES ($rollout_id, $stage_key, $start, $end, $counted, $repeats, $late, $ineligible, $last_batch)
