-- latency histograms per hour in log buckets (1 % relative error); below a microsecond counts as a microsecond
INSERT INTO rollup_latency BY NAME
SELECT date_trunc('hour', i.ts) AS hour, coalesce(c.arm, i.arm, 'unknown') AS arm, coalesce(c.release, i.release, 'unknown') AS release,
       coalesce(c.segment, i.segment, 'unknown') AS segment, coalesce(c.eligible, TRUE) AS eligible,
       CAST(ceil(ln(greatest(i.latency_ms, 0.001)) / ln(1.01 / 0.99)) AS INTEGER) AS bucket, count(*) AS n
FROM interactions AS i
LEFT JOIN conversations AS c
  ON c.conversation_id = i.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
 AND c.started_at >= i.ts - INTERVAL 2 DAY AND c.started_at <= i.ts + INTERVAL 1 HOUR
WHERE i.ts >= date_trunc('hour', $since) AND i.ts < date_trunc('hour', $until) + INTERVAL 1 HOUR AND i.latency_ms IS NOT NULL
  AND date_trunc('hour', i.ts) IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'activity')
GROUP BY ALL
ORDER BY hour
