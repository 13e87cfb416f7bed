-- ask: the newest conversations since $since with an outcome of the kind $kind, of one arm or ('') of both; `among` counts all of them
WITH found AS (
  SELECT conversation_id, started_at, arm, release, phase, intent_first AS intent, turns, csat, cost_usd,
         CASE $kind WHEN 'escalated' THEN escalation_reason WHEN 'low_csat' THEN CAST(round(csat) AS VARCHAR) ELSE NULL END AS detail
  FROM conversations
  WHERE started_at >= $since AND ($arm = '' OR arm = $arm)
    AND CASE $kind WHEN 'escalated' THEN escalated_at IS NOT NULL WHEN 'low_csat' THEN csat <= 2 WHEN 'came_back' THEN returned_at IS NOT NULL
                   WHEN 'unresolved' THEN resolved IS NOT NULL AND NOT (resolved AND escalated_at IS NULL) WHEN 'any' THEN TRUE ELSE FALSE END
)
SELECT found.*, count(*) OVER () AS among FROM found ORDER BY started_at DESC, conversation_id LIMIT $most
