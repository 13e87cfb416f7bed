-- call family per stream and block: every call of the rollout's eligible conversations by the time of the call; it failed when it ended in an error or timed out
WITH stream AS (
  SELECT unnest(CAST($stream AS BIGINT[])) AS stream, unnest(CAST($metric AS VARCHAR[])) AS metric, unnest(CAST($segment AS VARCHAR[])) AS segment,
         unnest(CAST($span AS BIGINT[])) AS span, unnest(CAST($rollout_id AS VARCHAR[])) AS rollout_id, unnest(CAST($release AS VARCHAR[])) AS release, unnest(CAST($shadow AS VARCHAR[])) AS shadow
), call AS (
  SELECT 'api_error_rate' AS metric, ts, conversation_id, error_type IS NOT NULL OR coalesce(timed_out, FALSE) AS hit
  FROM model_calls WHERE ts >= $start AND ts < $end
  UNION ALL
  SELECT 'dependency_failure_rate' AS metric, ts, conversation_id, error_type IS NOT NULL OR coalesce(timed_out, FALSE) AS hit
  FROM dependency_calls WHERE ts >= $start AND ts < $end
), judged AS (
  SELECT s.stream, date_diff('second', CAST($start AS TIMESTAMP), k.ts) // s.span AS block, compared_arm(c.arm, s.shadow, c.user_id) AS arm, k.hit
  FROM call AS k
  JOIN conversations AS c ON c.conversation_id = k.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
                         AND c.started_at >= k.ts - INTERVAL 2 DAY AND c.started_at <= k.ts + INTERVAL 1 HOUR AND coalesce(c.eligible, TRUE)
  JOIN stream AS s ON s.metric = k.metric AND (s.segment = 'all' OR s.segment = c.segment) AND (c.rollout_id IS NULL OR c.rollout_id = s.rollout_id)
                  AND (c.arm = 'baseline' OR (c.arm = 'assistant' AND (c.release IS NULL OR c.release = s.release)))
)
SELECT stream, block,
       count(CASE WHEN arm = 'assistant' THEN 1 END) AS n_t, count(CASE WHEN arm = 'assistant' AND hit THEN 1 END) AS x_t,
       count(CASE WHEN arm = 'baseline' THEN 1 END) AS n_c, count(CASE WHEN arm = 'baseline' AND hit THEN 1 END) AS x_c
FROM judged GROUP BY stream, block
