-- drift: one row per conversation started in [$since, $until) with its outcomes, as known $escalation_us / $csat_us after its start (µs); `*_mature`: whether that time had passed at $now
-- What became known later does not count, or an older window would look different only because it had more time.
SELECT conversation_id, started_at AS ts,
  started_at <= $now - to_microseconds($escalation_us) AS escalation_mature,
  started_at <= $now - to_microseconds($csat_us) AS csat_mature,
  coalesce(escalated, escalated_at IS NOT NULL, FALSE) AND coalesce(escalated_at <= started_at + to_microseconds($escalation_us), TRUE) AS escalated,
  CASE WHEN coalesce(csat_at <= started_at + to_microseconds($csat_us), TRUE) THEN csat END AS csat
FROM conversations
WHERE started_at >= $since AND started_at < $until AND ($arm IS NULL OR arm = $arm) AND ($release IS NULL OR release = $release)
ORDER BY started_at, conversation_id
