-- CSAT: what is counted and what is left out, per arm: conversations of repeat customers, of stages without the other arm, too young, early and late ratings
SELECT u.arm, count(*) AS eligible, count(CASE WHEN NOT u.first THEN 1 END) AS repeats, count(CASE WHEN u.first AND NOT u.together THEN 1 END) AS alone,
       count(CASE WHEN u.counted THEN 1 END) AS counted, count(CASE WHEN u.counted AND NOT u.mature THEN 1 END) AS young,
       count(CASE WHEN u.counted THEN u.early END) AS early, count(CASE WHEN u.counted THEN u.late END) AS late,
       avg(CASE WHEN u.counted THEN u.late END) AS late_mean
FROM csat_units AS u GROUP BY u.arm ORDER BY u.arm
