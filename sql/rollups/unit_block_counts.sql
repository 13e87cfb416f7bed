-- what the close of [$start, $end) wrote: counted, repeats, ineligible
SELECT (SELECT count(*) FROM units WHERE started_at >= $start AND started_at < $end AND rollout_id = $rollout_id AND block_start = $start) AS counted,
       count(CASE WHEN reason = 'repeat' THEN 1 END) AS repeats,
       count(CASE WHEN reason NOT IN ('repeat', 'late') THEN 1 END) AS ineligible
FROM unit_exclusions
WHERE started_at >= $start AND started_at < $end AND rollout_id = $rollout_id AND block_start = $start
