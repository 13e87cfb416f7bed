-- trade-off: ratings 1..5 per block and arm of the comparison's units, known within the maturity; a new share opens a new block
-- Only whole blocks: half a block would be other evidence than the whole one of a later look, and looking again would not be paid for.
WITH units AS (
  SELECT c.arm, coalesce(c.flag_version, 0) AS version, c.started_at, c.csat, c.csat_at,
         row_number() OVER (PARTITION BY c.user_id, c.arm, c.phase, date_trunc('week', c.started_at) ORDER BY c.started_at, c.conversation_id) AS place
  FROM conversations AS c
  WHERE c.started_at >= $since AND c.started_at < $until - $maturity * INTERVAL 1 SECOND
    AND c.user_id IS NOT NULL AND c.arm IS NOT NULL AND coalesce(c.eligible, TRUE)
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout)
    AND (c.arm = 'baseline' OR $release = '' OR c.release IS NULL OR c.release = $release)
)
SELECT date_diff('second', $since, u.started_at) // $span AS block, u.version,
       count(CASE WHEN u.arm = 'assistant' AND round(u.csat) = 1 THEN 1 END) AS t1, count(CASE WHEN u.arm = 'assistant' AND round(u.csat) = 2 THEN 1 END) AS t2,
       count(CASE WHEN u.arm = 'assistant' AND round(u.csat) = 3 THEN 1 END) AS t3, count(CASE WHEN u.arm = 'assistant' AND round(u.csat) = 4 THEN 1 END) AS t4,
       count(CASE WHEN u.arm = 'assistant' AND round(u.csat) = 5 THEN 1 END) AS t5,
       count(CASE WHEN u.arm = 'baseline' AND round(u.csat) = 1 THEN 1 END) AS c1, count(CASE WHEN u.arm = 'baseline' AND round(u.csat) = 2 THEN 1 END) AS c2,
       count(CASE WHEN u.arm = 'baseline' AND round(u.csat) = 3 THEN 1 END) AS c3, count(CASE WHEN u.arm = 'baseline' AND round(u.csat) = 4 THEN 1 END) AS c4,
       count(CASE WHEN u.arm = 'baseline' AND round(u.csat) = 5 THEN 1 END) AS c5
FROM units AS u
WHERE u.started_at < $since + (date_diff('second', $since, $until - $maturity * INTERVAL 1 SECOND) // $span * $span) * INTERVAL 1 SECOND
  AND u.place = 1 AND u.csat IS NOT NULL AND u.csat_at <= u.started_at + $maturity * INTERVAL 1 SECOND
GROUP BY block, u.version
ORDER BY block, u.version
