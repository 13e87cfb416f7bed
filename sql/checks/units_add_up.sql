-- closed start blocks of [$since, $until) whose remembered counts differ from their rows
SELECT b.rollout_id, b.stage_key, b.block_start, b.counted, b.repeats, b.ineligible
FROM unit_blocks AS b
WHERE b.block_start >= $since AND b.block_start < $until
  AND (b.counted <> (SELECT count(*) FROM units AS u WHERE u.rollout_id = b.rollout_id AND u.block_start = b.block_start)
    OR b.repeats <> (SELECT count(*) FROM unit_exclusions AS e WHERE e.rollout_id = b.rollout_id AND e.block_start = b.block_start AND e.reason = 'repeat')
    OR b.ineligible <> (SELECT count(*) FROM unit_exclusions AS e WHERE e.rollout_id = b.rollout_id AND e.block_start = b.block_start AND e.reason NOT IN ('repeat', 'late')))
ORDER BY b.block_start
