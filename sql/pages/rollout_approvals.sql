-- pages: who approved leaving which stage of which rollout, oldest first
SELECT rollout_id, stage, approver, note, CAST(approved_at AS TIMESTAMP) AS approved_at FROM approvals ORDER BY approved_at, approver
