-- ask: the newest conversations since $since with a turn that timed out ($kind 'timed_out') or ended in an error ('failed'), of one arm or ('') of both
WITH turns AS (
  SELECT conversation_id, max(ts) AS at, arg_max(coalesce(error_type, 'timed out'), ts) AS detail
  FROM interactions
  WHERE ts >= $since AND CASE $kind WHEN 'timed_out' THEN coalesce(timed_out, FALSE) WHEN 'failed' THEN error_type IS NOT NULL ELSE FALSE END
  GROUP BY conversation_id
)
SELECT c.conversation_id, c.started_at, c.arm, c.release, c.phase, c.intent_first AS intent, c.turns, c.csat, c.cost_usd, t.detail, count(*) OVER () AS among
FROM turns AS t JOIN conversations AS c ON c.conversation_id = t.conversation_id
WHERE $arm = '' OR c.arm = $arm
ORDER BY c.started_at DESC, c.conversation_id LIMIT $most
