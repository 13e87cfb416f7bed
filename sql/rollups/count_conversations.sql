-- conversation family per stream and block: events among the units that started in the block, known within the maturity of their start; who was handed to a person was not resolved by the arm
WITH stream AS (
  SELECT unnest(CAST($stream AS BIGINT[])) AS stream, unnest(CAST($metric AS VARCHAR[])) AS metric, unnest(CAST($segment AS VARCHAR[])) AS segment,
         unnest(CAST($span AS BIGINT[])) AS span, unnest(CAST($maturity AS BIGINT[])) AS maturity,
         unnest(CAST($rollout_id AS VARCHAR[])) AS rollout_id, unnest(CAST($release AS VARCHAR[])) AS release, unnest(CAST($shadow AS VARCHAR[])) AS shadow
), outcome AS (
  SELECT u.user_id, u.arm, u.segment, u.rollout_id, u.release, u.started_at,
         c.escalated_at, c.returned_at, c.resolved, c.resolved_at, CAST(floor(c.csat + 0.5) AS INTEGER) AS rating, c.csat_at
  FROM units AS u
  LEFT JOIN conversations AS c ON c.conversation_id = u.conversation_id AND c.started_at >= $member_since AND c.started_at < $end
  WHERE u.started_at >= $start AND u.started_at < $end
), judged AS (
  SELECT s.stream, date_diff('second', CAST($start AS TIMESTAMP), o.started_at) // s.span AS block, compared_arm(o.arm, s.shadow, o.user_id) AS arm,
         CASE WHEN s.metric = 'csat' AND o.csat_at <= o.started_at + s.maturity * INTERVAL 1 SECOND THEN o.rating END AS rating,
         CASE s.metric
           WHEN 'escalation_rate' THEN coalesce(o.escalated_at <= o.started_at + s.maturity * INTERVAL 1 SECOND, FALSE)
           WHEN 'contact_rate' THEN coalesce(o.returned_at <= o.started_at + s.maturity * INTERVAL 1 SECOND, FALSE)
           WHEN 'csat_response_rate' THEN coalesce(o.csat_at <= o.started_at + s.maturity * INTERVAL 1 SECOND AND o.rating IS NOT NULL, FALSE)
           WHEN 'resolution_rate' THEN CASE WHEN o.resolved_at <= o.started_at + s.maturity * INTERVAL 1 SECOND THEN
             o.resolved AND NOT coalesce(o.escalated_at <= o.started_at + s.maturity * INTERVAL 1 SECOND, FALSE) END END AS hit
  FROM outcome AS o
  JOIN stream AS s ON s.rollout_id = o.rollout_id AND (s.segment = 'all' OR s.segment = o.segment)
                  AND (o.arm = 'baseline' OR o.release IS NULL OR o.release = s.release)
)
SELECT stream, block,
       count(CASE WHEN arm = 'assistant' AND hit IS NOT NULL THEN 1 END) AS n_t, count(CASE WHEN arm = 'assistant' AND hit THEN 1 END) AS x_t,
       count(CASE WHEN arm = 'baseline' AND hit IS NOT NULL THEN 1 END) AS n_c, count(CASE WHEN arm = 'baseline' AND hit THEN 1 END) AS x_c,
       count(CASE WHEN arm = 'assistant' AND rating = 1 THEN 1 END) AS k1_t, count(CASE WHEN arm = 'assistant' AND rating = 2 THEN 1 END) AS k2_t,
       count(CASE WHEN arm = 'assistant' AND rating = 3 THEN 1 END) AS k3_t, count(CASE WHEN arm = 'assistant' AND rating = 4 THEN 1 END) AS k4_t,
       count(CASE WHEN arm = 'assistant' AND rating = 5 THEN 1 END) AS k5_t,
       count(CASE WHEN arm = 'baseline' AND rating = 1 THEN 1 END) AS k1_c, count(CASE WHEN arm = 'baseline' AND rating = 2 THEN 1 END) AS k2_c,
       count(CASE WHEN arm = 'baseline' AND rating = 3 THEN 1 END) AS k3_c, count(CASE WHEN arm = 'baseline' AND rating = 4 THEN 1 END) AS k4_c,
       count(CASE WHEN arm = 'baseline' AND rating = 5 THEN 1 END) AS k5_c
FROM judged WHERE hit IS NOT NULL OR rating IS NOT NULL GROUP BY stream, block
