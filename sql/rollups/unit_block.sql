-- what the close of exactly this start block did: counted, repeats, late, ineligible
SELECT counted, repeats, late, ineligible FROM unit_blocks
WHERE block_start = $start AND block_end = $end AND stage_key = $stage_key AND rollout_id = $rollout_id
