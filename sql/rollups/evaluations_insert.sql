-- evaluation family: sums per minute of the judged answer; several judgements of one answer count once (safety: the worst, else people first, then the earliest)
INSERT INTO rollup_minute BY NAME
WITH judged AS (
  SELECT j.metric, j.conversation_id, j.answered_at, j.hit,
         row_number() OVER (PARTITION BY j.metric, j.subject
                            ORDER BY CASE WHEN j.metric = 'misrouting_rate' THEN -j.hit ELSE 0 END, j.priority, j.judged_at, j.judgement_id) AS place
  FROM judgements AS j
  WHERE j.answered_at >= $since AND j.answered_at < $until + INTERVAL 1 MINUTE
    AND j.judged_at >= $since - INTERVAL 1 DAY AND j.judged_at >= j.answered_at - INTERVAL 1 DAY
    AND date_trunc('minute', j.answered_at) IN (SELECT minute FROM rollup_stale WHERE family = 'evaluation')
), counted AS (
  SELECT date_trunc('minute', j.answered_at) AS minute, coalesce(c.arm, 'unknown') AS arm, coalesce(c.release, 'unknown') AS release,
         coalesce(c.phase, 'unknown') AS phase, coalesce(c.segment, 'unknown') AS segment, coalesce(c.eligible, TRUE) AS eligible,
         j.metric, count(*) AS n, CAST(sum(j.hit) AS BIGINT) AS x
  FROM judged AS j
  LEFT JOIN conversations AS c
    ON c.conversation_id = j.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
   AND c.started_at >= j.answered_at - INTERVAL 2 DAY AND c.started_at <= j.answered_at + INTERVAL 1 HOUR
  WHERE j.place = 1
  GROUP BY ALL
), sums AS (
  SELECT minute, arm, release, phase, segment, eligible, metric, n, x FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'safety_incidents', x, x FROM counted WHERE metric = 'misrouting_rate' AND x > 0
)
SELECT minute, arm, release, phase, segment, eligible, 'evaluation' AS family, metric, n, x, 0.0 AS total, 0.0 AS total_sq FROM sums
ORDER BY minute
