-- review: counted customers of the treated arm in one stage, of start blocks before $units_until
SELECT count(*) AS units FROM units AS u WHERE u.stage_key = $stage_key AND u.arm = 'assistant' AND u.block_start < $units_until
