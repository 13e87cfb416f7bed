-- experiment: units per stage and arm of experiment_units
SELECT stage_key, count(CASE WHEN arm = 'assistant' THEN 1 END) AS treated, count(CASE WHEN arm = 'baseline' THEN 1 END) AS control
FROM experiment_units GROUP BY stage_key ORDER BY stage_key
