-- pages: what is set aside at $now: overridden triggers and silenced alerts, each with who, why and until when
WITH ended AS (SELECT override_id AS id FROM overrides WHERE event = 'ended' UNION ALL SELECT silence_id AS id FROM silences WHERE event = 'ended')
SELECT 'override' AS kind, trigger AS what, actor, reason, CAST("at" AS TIMESTAMP) AS since, CAST("until" AS TIMESTAMP) AS ends
FROM overrides WHERE event = 'added' AND override_id NOT IN (SELECT id FROM ended) AND CAST("at" AS TIMESTAMP) <= $now AND CAST("until" AS TIMESTAMP) > $now
UNION ALL
SELECT 'silence' AS kind, matchers AS what, actor, reason, CAST(starts_at AS TIMESTAMP) AS since, CAST(expires_at AS TIMESTAMP) AS ends
FROM silences WHERE event = 'added' AND silence_id NOT IN (SELECT id FROM ended) AND CAST(starts_at AS TIMESTAMP) <= $now AND CAST(expires_at AS TIMESTAMP) > $now
ORDER BY ends
