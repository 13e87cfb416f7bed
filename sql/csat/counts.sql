-- CSAT of the counted units by $by ('all', 'week', 'segment', 'region', 'channel', 'intent', 'phase'), stratum (stage of the ramp and week: within one the
-- shares of the arms stay as they are) and arm: conversations, mature, ratings 1..5
WITH summed AS (
  SELECT CASE $by WHEN 'segment' THEN u.segment WHEN 'region' THEN u.region WHEN 'channel' THEN u.channel WHEN 'intent' THEN u.intent
                  WHEN 'phase' THEN u.phase ELSE 'all' END AS value, u.phase, u.version, u.week, u.arm,
         count(*) AS conversations, count(CASE WHEN u.mature THEN 1 END) AS mature,
         count(CASE WHEN u.rating = 1 THEN 1 END) AS n1, count(CASE WHEN u.rating = 2 THEN 1 END) AS n2, count(CASE WHEN u.rating = 3 THEN 1 END) AS n3,
         count(CASE WHEN u.rating = 4 THEN 1 END) AS n4, count(CASE WHEN u.rating = 5 THEN 1 END) AS n5
  FROM csat_units AS u WHERE u.counted GROUP BY ALL
)
SELECT CASE WHEN $by = 'week' THEN strftime(s.week, '%G-W%V') ELSE s.value END AS value,
       s.phase || ' v' || s.version || ' ' || strftime(s.week, '%G-W%V') AS stratum, s.arm, s.conversations, s.mature, s.n1, s.n2, s.n3, s.n4, s.n5
FROM summed AS s ORDER BY value, stratum, s.arm
