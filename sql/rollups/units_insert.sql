-- the units of a start block: the first eligible conversation per customer, arm, stage and calendar week that has no unit yet; $week_start bounds the search in time
INSERT INTO units BY NAME
SELECT c.conversation_id, c.user_id, c.arm, $rollout_id AS rollout_id, c.release, $stage_key AS stage_key, c.week, c.started_at,
       CAST($start AS TIMESTAMP) AS block_start, c.segment
FROM (
  SELECT *, row_number() OVER (PARTITION BY user_id, arm, week ORDER BY started_at, conversation_id) AS place
  FROM unit_candidates WHERE reason IS NULL
) AS c
WHERE c.place = 1
  AND NOT EXISTS (
    SELECT 1 FROM units AS u
    WHERE u.started_at >= $week_start AND u.rollout_id = $rollout_id AND u.stage_key = $stage_key
      AND u.user_id = c.user_id AND u.arm = c.arm AND u.week = c.week
  )
ORDER BY c.started_at, c.conversation_id
