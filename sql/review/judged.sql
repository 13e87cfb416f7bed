-- review: sums of judgements per week, stage, arm and metric over customers, weighted by 1/sampling rate; `units` customers, `judged` subjects, `severe` confirmed ones
WITH customers AS (
  SELECT j.metric, j.week, CASE WHEN $firsts THEN j.stratum ELSE 0 END AS stratum, j.arm, j.unit, CAST(sum(j.weight) AS HUGEINT) AS x,
         CAST(coalesce(sum(j.weight) FILTER (j.hit), 0) AS HUGEINT) AS y, count(*) AS judged, count(*) FILTER (j.severe) AS severe
  FROM review_judgements AS j GROUP BY ALL
)
SELECT u.metric, u.week, u.stratum, u.arm, count(*) AS units, sum(u.y) AS y, sum(u.x) AS x, sum(u.y * u.y) AS yy, sum(u.x * u.x) AS xx, sum(u.x * u.y) AS xy,
       CAST(sum(u.judged) AS BIGINT) AS judged, CAST(sum(u.severe) AS BIGINT) AS severe
FROM customers AS u GROUP BY ALL ORDER BY ALL
