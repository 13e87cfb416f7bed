-- first intents of the last two weeks of data, with how many conversations had them
SELECT intent_first AS intent, count(*) AS conversations
FROM conversations
WHERE intent_first IS NOT NULL AND started_at > (SELECT max(started_at) FROM conversations) - INTERVAL 14 DAY AND coalesce(eligible, TRUE)
GROUP BY intent_first ORDER BY conversations DESC
