-- pages: rows of the audit log about an incident $incident, and about its rollout $rollout between $since and $until, oldest first
SELECT CAST("at" AS TIMESTAMP) AS "at", actor, event, subject, reason FROM audit
WHERE subject = $incident OR (subject = $rollout AND CAST("at" AS TIMESTAMP) >= $since AND CAST("at" AS TIMESTAMP) <= $until)
ORDER BY seq
