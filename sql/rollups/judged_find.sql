-- when the judged answers were given, searched between $since and $until
CREATE OR REPLACE TEMP TABLE rollup_answered AS
SELECT DISTINCT i.interaction_id AS subject, i.ts
FROM interactions AS i JOIN rollup_judged AS j ON j.interaction_id = i.interaction_id
WHERE i.ts >= $since AND i.ts <= $until
UNION ALL
SELECT DISTINCT c.conversation_id AS subject, c.started_at AS ts
FROM conversations AS c JOIN rollup_judged AS j ON j.conversation_id = c.conversation_id
WHERE c.started_at >= $since AND c.started_at <= $until
