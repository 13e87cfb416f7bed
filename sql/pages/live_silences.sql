-- pages: silences of alerts with who ended them, if anybody did, newest first
SELECT a.silence_id, a.matchers, a.actor, a.reason, a.starts_at, a.expires_at, e.at AS ended_at
FROM silences AS a LEFT JOIN silences AS e ON e.silence_id = a.silence_id AND e.event = 'ended'
WHERE a.event = 'added' ORDER BY a.seq DESC
