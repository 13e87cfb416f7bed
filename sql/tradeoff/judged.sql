-- trade-off: the assistant's answers judged for groundedness until $until, and how many of them were flagged; several judgements of one answer count once, the earliest
WITH judged AS (
  SELECT j.hit, row_number() OVER (PARTITION BY j.subject ORDER BY j.priority, j.judged_at, j.judgement_id) AS place
  FROM judgements AS j JOIN conversations AS c ON c.conversation_id = j.conversation_id
  WHERE j.metric = 'hallucination_rate' AND j.answered_at >= $since AND j.answered_at < $until AND j.judged_at < $until AND c.arm = 'assistant'
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout) AND ($release = '' OR c.release IS NULL OR c.release = $release)
)
SELECT count(*) AS judged, count(CASE WHEN d.hit = 1 THEN 1 END) AS flagged FROM judged AS d WHERE d.place = 1
