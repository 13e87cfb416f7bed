-- request family per stream and block: the first request of each unit (within an hour of its start), by the time of that request; an unknown value is not counted
WITH stream AS (
  SELECT unnest(CAST($stream AS BIGINT[])) AS stream, unnest(CAST($metric AS VARCHAR[])) AS metric, unnest(CAST($segment AS VARCHAR[])) AS segment,
         unnest(CAST($span AS BIGINT[])) AS span, unnest(CAST($slo_ms AS DOUBLE[])) AS slo_ms, unnest(CAST($cap_usd AS DOUBLE[])) AS cap_usd,
         unnest(CAST($rollout_id AS VARCHAR[])) AS rollout_id, unnest(CAST($release AS VARCHAR[])) AS release, unnest(CAST($shadow AS VARCHAR[])) AS shadow
), request AS (
  SELECT u.user_id, u.arm, u.segment, u.rollout_id, u.release, i.ts, i.latency_ms, i.cost_usd, i.timed_out, i.error_type,
         row_number() OVER (PARTITION BY u.rollout_id, u.conversation_id ORDER BY i.ts, i.turn, i.interaction_id) AS place
  FROM units AS u
  JOIN interactions AS i ON i.conversation_id = u.conversation_id AND i.ts >= $unit_since AND i.ts < $end
                         AND i.ts >= u.started_at AND i.ts <= u.started_at + INTERVAL 1 HOUR
  WHERE u.started_at >= $unit_since AND u.started_at < $end
), judged AS (
  SELECT s.stream, date_diff('second', CAST($start AS TIMESTAMP), r.ts) // s.span AS block, compared_arm(r.arm, s.shadow, r.user_id) AS arm,
         CASE s.metric
           WHEN 'slow_share' THEN r.latency_ms > s.slo_ms
           WHEN 'costly_share' THEN r.cost_usd > s.cap_usd
           WHEN 'timeout_rate' THEN r.timed_out
           WHEN 'request_error_rate' THEN r.error_type IS NOT NULL END AS hit
  FROM request AS r
  JOIN stream AS s ON s.rollout_id = r.rollout_id AND (s.segment = 'all' OR s.segment = r.segment)
                  AND (r.arm = 'baseline' OR r.release IS NULL OR r.release = s.release)
  WHERE r.place = 1 AND r.ts >= $start
)
SELECT stream, block,
       count(CASE WHEN arm = 'assistant' THEN 1 END) AS n_t, count(CASE WHEN arm = 'assistant' AND hit THEN 1 END) AS x_t,
       count(CASE WHEN arm = 'baseline' THEN 1 END) AS n_c, count(CASE WHEN arm = 'baseline' AND hit THEN 1 END) AS x_c
FROM judged WHERE hit IS NOT NULL GROUP BY stream, block
