-- evidence: why the facts of a closed block may differ from what was counted: rows that arrived after the close though their time lies before $until, and units whose conversation is gone
WITH member AS (
  SELECT u.conversation_id, u.user_id FROM units AS u WHERE u.started_at >= $start AND u.started_at < $end AND u.rollout_id = $rollout_id
  UNION
  SELECT conversation_id, user_id FROM interactions WHERE ts >= $start AND ts < $end
  UNION
  SELECT conversation_id, CAST(NULL AS VARCHAR) FROM model_calls WHERE ts >= $start AND ts < $end AND conversation_id IS NOT NULL
  UNION
  SELECT conversation_id, CAST(NULL AS VARCHAR) FROM dependency_calls WHERE ts >= $start AND ts < $end AND conversation_id IS NOT NULL
), arrived AS (
  SELECT conversation_id, user_id FROM interactions WHERE batch_id > $last_batch AND ts >= $since AND ts <= $until
  UNION ALL
  SELECT conversation_id, user_id FROM exposures WHERE batch_id > $last_batch AND ts >= $since AND ts <= $until
  UNION ALL
  SELECT conversation_id, CAST(NULL AS VARCHAR) FROM feedback WHERE batch_id > $last_batch AND ts >= $since AND ts <= $until
  UNION ALL
  SELECT conversation_id, CAST(NULL AS VARCHAR) FROM model_calls WHERE batch_id > $last_batch AND ts >= $since AND ts <= $until
  UNION ALL
  SELECT conversation_id, CAST(NULL AS VARCHAR) FROM dependency_calls WHERE batch_id > $last_batch AND ts >= $since AND ts <= $until
  UNION ALL
  SELECT coalesce(e.conversation_id, i.conversation_id), CAST(NULL AS VARCHAR)
  FROM evaluations AS e LEFT JOIN interactions AS i ON i.interaction_id = e.interaction_id
  WHERE e.batch_id > $last_batch AND e.ts >= $since AND e.ts <= $until
)
SELECT (SELECT count(*) FROM arrived AS a
        WHERE EXISTS (SELECT 1 FROM member AS m WHERE m.conversation_id = a.conversation_id)
           OR EXISTS (SELECT 1 FROM member AS m WHERE m.user_id = a.user_id)) AS late,
       (SELECT count(*) FROM units AS u
        WHERE u.started_at >= $start AND u.started_at < $end AND u.rollout_id = $rollout_id
          AND NOT EXISTS (SELECT 1 FROM conversations AS c WHERE c.conversation_id = u.conversation_id)) AS gone,
       (SELECT coalesce(max(batch_id), 0) FROM batches) AS newest_batch
