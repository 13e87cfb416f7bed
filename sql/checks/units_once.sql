-- customers that count more than once in an arm, stage and calendar week, among units that started in [$since, $until)
SELECT rollout_id, stage_key, arm, week, user_id, count(*) AS units FROM units
WHERE started_at >= $since AND started_at < $until
GROUP BY rollout_id, stage_key, arm, week, user_id HAVING count(*) > 1
ORDER BY rollout_id, stage_key, arm, week, user_id
