-- the days in [$since, $until) in which anything happened that a rollup counts
SELECT DISTINCT day
FROM (
  SELECT date_trunc('day', started_at) AS day FROM conversations WHERE started_at >= $since AND started_at < $until
  UNION ALL
  SELECT date_trunc('day', ts) AS day FROM interactions WHERE ts >= $since AND ts < $until
  UNION ALL
  SELECT date_trunc('day', ts) AS day FROM model_calls WHERE ts >= $since AND ts < $until
  UNION ALL
  SELECT date_trunc('day', ts) AS day FROM dependency_calls WHERE ts >= $since AND ts < $until
) AS happened
ORDER BY day
