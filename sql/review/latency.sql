-- review: requests per week, stage, arm and logarithmic latency bucket (g^(b-1), g^b] ms, g = 1.01/0.99
SELECT CASE WHEN i.ts >= $since THEN 1 ELSE 0 END AS week, c.stratum, c.arm,
       CAST(ceil(ln(greatest(i.latency_ms, 0.001)) / ln(CAST(1.01 AS DOUBLE) / CAST(0.99 AS DOUBLE))) AS INTEGER) AS bucket, count(*) AS n
FROM interactions AS i JOIN review_conversations AS c ON c.conversation_id = i.conversation_id
WHERE i.ts >= $before AND i.ts < $until AND i.batch_id <= $last_batch AND i.latency_ms >= 0 AND c.eligible
GROUP BY ALL ORDER BY ALL
