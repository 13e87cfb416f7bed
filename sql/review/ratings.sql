-- review: ratings 1..5 per arm in [$since, $until) of eligible conversations old enough at $now, that came in time
WITH told AS (
  SELECT c.arm, c.started_at <= CAST($now AS TIMESTAMP) - $maturity_csat * INTERVAL 1 SECOND AS mature,
         CASE WHEN c.csat_at <= c.started_at + $maturity_csat * INTERVAL 1 SECOND THEN CAST(round(c.csat) AS INTEGER) END AS rating
  FROM review_conversations AS c WHERE c.week = 1 AND c.eligible
)
SELECT t.arm, count(*) AS conversations, count(*) FILTER (t.mature) AS mature, count(*) FILTER (t.mature AND t.rating = 1) AS n1,
       count(*) FILTER (t.mature AND t.rating = 2) AS n2, count(*) FILTER (t.mature AND t.rating = 3) AS n3,
       count(*) FILTER (t.mature AND t.rating = 4) AS n4, count(*) FILTER (t.mature AND t.rating = 5) AS n5
FROM told AS t GROUP BY t.arm ORDER BY t.arm
