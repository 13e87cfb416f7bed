-- CSAT: the first start of a conversation that both $release and $rollout allow, and the newest record of any kind (naive UTC)
SELECT (SELECT min(c.started_at) FROM conversations AS c
        WHERE c.arm = 'assistant' AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout)
          AND ($release = '' OR c.release IS NULL OR c.release = $release)) AS first,
       greatest((SELECT max(ts) FROM interactions), (SELECT max(ts) FROM feedback)) AS newest
