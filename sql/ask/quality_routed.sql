-- ask: conversations begun in [$since, $until) in which the safety screen saw one of $categories, newest first, and whether a person got them: `late` where a later turn than the screen's
-- handed them over. $missed: only those that nobody got at once
SELECT c.conversation_id, c.started_at, c.arm, c.release, c.safety_route AS category, c.escalation_reason, c.escalated_at,
       c.escalated_at IS NOT NULL OR coalesce(c.escalated, FALSE) AS person,
       coalesce(c.escalated_key > c.route_key, FALSE) AS late, count(*) OVER () AS among
FROM conversations AS c
WHERE c.started_at >= $since AND c.started_at < $until AND list_contains(CAST($categories AS VARCHAR[]), c.safety_route)
  AND ($arm = '' OR c.arm = $arm) AND ($release = '' OR c.release = $release)
  AND (NOT $missed OR c.escalated_key > c.route_key OR NOT (c.escalated_at IS NOT NULL OR coalesce(c.escalated, FALSE)))
ORDER BY c.started_at DESC, c.conversation_id
LIMIT $most OFFSET $skip
