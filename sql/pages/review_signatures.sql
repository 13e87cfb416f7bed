-- pages: signatures under weekly reviews, oldest first; the newest of a person counts
SELECT subject, actor, "at", reason, payload FROM audit WHERE event = 'review_signed' ORDER BY seq
