-- counted customers of the treated arm in one stage
SELECT count(*) AS units FROM units WHERE stage_key = $stage_key AND arm = 'assistant'
