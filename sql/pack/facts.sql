-- how far back each kind of fact goes, its newest, and how many lie in [$since, $until)
SELECT 'interactions' AS kind, min(ts) AS oldest, max(ts) AS newest, count(CASE WHEN ts >= $since AND ts < $until THEN 1 END) AS n FROM interactions
UNION ALL
SELECT 'conversations' AS kind, min(started_at) AS oldest, max(started_at) AS newest, count(CASE WHEN started_at >= $since AND started_at < $until THEN 1 END) AS n FROM conversations
UNION ALL
SELECT 'exposures' AS kind, min(ts) AS oldest, max(ts) AS newest, count(CASE WHEN ts >= $since AND ts < $until THEN 1 END) AS n FROM exposures
UNION ALL
SELECT 'evaluations' AS kind, min(ts) AS oldest, max(ts) AS newest, count(CASE WHEN ts >= $since AND ts < $until THEN 1 END) AS n FROM evaluations
ORDER BY kind
