-- review: conversations and requests of each week by arm, whether customers are named, and the first record there is
SELECT c.week, c.arm, count(*) AS conversations, count(*) FILTER (c.eligible) AS eligible, count(*) FILTER (NOT c.named) AS unnamed,
       count(DISTINCT c.unit) AS customers, min(c.started_at) AS first_at, max(c.started_at) AS last_at
FROM review_conversations AS c GROUP BY ALL ORDER BY ALL
