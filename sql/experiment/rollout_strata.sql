-- experiment: stages and shares that have both arms, the newest first, and when each began
SELECT stage, min(started_at) AS begun FROM experiment_units GROUP BY stage HAVING count(DISTINCT arm) >= 2 ORDER BY begun DESC, stage
