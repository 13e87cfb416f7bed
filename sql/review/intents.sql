-- review: conversations per week and intent of the first message, eligible ones of both arms
SELECT c.week, coalesce(c.intent_first, '') AS intent, count(*) AS n FROM review_conversations AS c WHERE c.eligible GROUP BY ALL ORDER BY ALL
