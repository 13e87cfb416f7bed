-- sample ratio per block: the customers whose first unit of the rollout started in the block, by arm; none from before $since (clients may still serve the share before)
WITH recent AS (
  SELECT DISTINCT user_id FROM units WHERE rollout_id = $rollout_id AND started_at >= $start AND started_at < $end
), placed AS (
  SELECT u.arm, u.started_at, row_number() OVER (PARTITION BY u.user_id ORDER BY u.started_at, u.conversation_id) AS place
  FROM units AS u JOIN recent AS r ON r.user_id = u.user_id
  WHERE u.rollout_id = $rollout_id AND u.started_at < $end
)
SELECT date_diff('second', CAST($start AS TIMESTAMP), started_at) // $span AS block,
       count(CASE WHEN arm = 'assistant' THEN 1 END) AS n_t, count(CASE WHEN arm = 'baseline' THEN 1 END) AS n_c
FROM placed WHERE place = 1 AND started_at >= $start AND started_at >= $since GROUP BY block
