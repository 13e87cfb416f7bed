-- requests dearer than $cap_usd per arm in [$since, $until); requests without a known cost are not counted
SELECT coalesce(c.arm, i.arm, 'unknown') AS arm, count(*) AS n, count(CASE WHEN i.cost_usd > $cap_usd THEN 1 END) AS x
FROM interactions AS i
LEFT JOIN conversations AS c
  ON c.conversation_id = i.conversation_id AND c.started_at >= CAST($since AS TIMESTAMP) - INTERVAL 2 DAY AND c.started_at <= CAST($until AS TIMESTAMP) + INTERVAL 1 HOUR
WHERE i.ts >= $since AND i.ts < $until AND i.cost_usd IS NOT NULL AND (coalesce(c.eligible, TRUE) OR $everyone)
GROUP BY 1
ORDER BY 1
