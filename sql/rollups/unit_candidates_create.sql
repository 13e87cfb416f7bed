-- the conversations that started in [$start, $end), each with the reason why it can't be a unit, or none
CREATE OR REPLACE TEMP TABLE unit_candidates AS
SELECT conversation_id, user_id, arm, release, started_at, segment, CAST(date_trunc('week', started_at) AS DATE) AS week,
       CASE WHEN user_id IS NULL OR user_id = '' THEN 'no_user'
            WHEN arm IS NULL OR arm NOT IN ('assistant', 'baseline') THEN 'no_arm'
            WHEN NOT coalesce(eligible, TRUE) THEN 'not_eligible'
            WHEN rollout_id <> $rollout_id THEN 'other_rollout'
            WHEN arm = 'assistant' AND release <> $release THEN 'other_release'
            WHEN started_at < $stage_started_at THEN 'before_stage' END AS reason
FROM conversations
WHERE started_at >= $start AND started_at < $end
