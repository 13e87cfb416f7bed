-- snapshot: how many conversations each stage counted as units of the comparison
SELECT rollout_id, stage_key, arm, count(*) AS units FROM units GROUP BY ALL ORDER BY stage_key, arm
