-- evaluation family per stream and block: judged answers of the rollout's eligible conversations by the time of the answer, judged within the maturity
-- Several judgements of one answer count once: for safety the worst, else people first, then the earliest.
-- A stream with labels 'person' knows judgements of people only.
WITH stream AS (
  SELECT unnest(CAST($stream AS BIGINT[])) AS stream, unnest(CAST($metric AS VARCHAR[])) AS metric, unnest(CAST($segment AS VARCHAR[])) AS segment,
         unnest(CAST($span AS BIGINT[])) AS span, unnest(CAST($maturity AS BIGINT[])) AS maturity,
         unnest(CAST($rollout_id AS VARCHAR[])) AS rollout_id, unnest(CAST($release AS VARCHAR[])) AS release, unnest(CAST($shadow AS VARCHAR[])) AS shadow, unnest(CAST($labels AS VARCHAR[])) AS labels
), judged AS (
  SELECT s.stream, date_diff('second', CAST($start AS TIMESTAMP), j.answered_at) // s.span AS block, compared_arm(c.arm, s.shadow, c.user_id) AS arm, j.hit,
         row_number() OVER (PARTITION BY s.stream, j.subject
                            ORDER BY CASE WHEN s.metric = 'misrouting_rate' THEN -j.hit ELSE 0 END, j.priority, j.judged_at, j.judgement_id) AS place
  FROM judgements AS j
  JOIN conversations AS c ON c.conversation_id = j.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
                         AND c.started_at >= j.answered_at - INTERVAL 2 DAY AND c.started_at <= j.answered_at + INTERVAL 1 HOUR AND coalesce(c.eligible, TRUE)
  JOIN stream AS s ON s.metric = j.metric AND (s.labels <> 'person' OR j.by_person) AND (s.segment = 'all' OR s.segment = c.segment) AND (c.rollout_id IS NULL OR c.rollout_id = s.rollout_id)
                  AND (c.arm = 'baseline' OR (c.arm = 'assistant' AND (c.release IS NULL OR c.release = s.release)))
  WHERE j.answered_at >= $start AND j.answered_at < $end AND j.judged_at >= $judged_since AND j.judged_at <= $judged_until
    AND j.judged_at >= j.answered_at - INTERVAL 1 DAY AND j.judged_at <= j.answered_at + s.maturity * INTERVAL 1 SECOND
)
SELECT stream, block,
       count(CASE WHEN arm = 'assistant' THEN 1 END) AS n_t, coalesce(sum(CASE WHEN arm = 'assistant' THEN hit END), 0) AS x_t,
       count(CASE WHEN arm = 'baseline' THEN 1 END) AS n_c, coalesce(sum(CASE WHEN arm = 'baseline' THEN hit END), 0) AS x_c
FROM judged WHERE place = 1 GROUP BY stream, block
