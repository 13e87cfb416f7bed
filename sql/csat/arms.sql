-- CSAT per arm in one query: eligible conversations of [$since, $until), those mature by $as_of ($maturity seconds), and the mature ones' ratings 1..5
-- that came in time; first conversations of a customer in arm, phase and week, of stages that both arms served (the rule of csat/units_create)
WITH chosen AS (
  SELECT c.arm, coalesce(c.phase, 'unknown') AS phase, coalesce(c.flag_version, -1) AS flag_version, c.started_at < $as_of - $maturity * INTERVAL 1 SECOND AS mature,
         CASE WHEN (c.csat_at IS NULL OR c.csat_at <= $as_of) AND NOT coalesce(c.csat_at > c.started_at + $maturity * INTERVAL 1 SECOND, FALSE)
              THEN CAST(round(c.csat) AS INTEGER) END AS rating,
         row_number() OVER (PARTITION BY coalesce(c.user_id, c.conversation_id), c.arm, c.phase, date_trunc('week', c.started_at)
                            ORDER BY c.started_at, c.conversation_id) AS place
  FROM conversations AS c
  WHERE c.started_at >= $since AND c.started_at < $until AND c.arm IN ('assistant', 'baseline') AND coalesce(c.eligible, TRUE)
    AND ($rollout = '' OR c.rollout_id IS NULL OR c.rollout_id = $rollout)
    AND (c.arm = 'baseline' OR $release = '' OR c.release IS NULL OR c.release = $release)
), shared AS (
  SELECT phase, flag_version FROM chosen GROUP BY phase, flag_version HAVING count(DISTINCT arm) = 2
)
SELECT c.arm, count(*) AS conversations, count(CASE WHEN c.mature THEN 1 END) AS mature,
       count(CASE WHEN c.mature AND c.rating = 1 THEN 1 END) AS n1, count(CASE WHEN c.mature AND c.rating = 2 THEN 1 END) AS n2,
       count(CASE WHEN c.mature AND c.rating = 3 THEN 1 END) AS n3, count(CASE WHEN c.mature AND c.rating = 4 THEN 1 END) AS n4,
       count(CASE WHEN c.mature AND c.rating = 5 THEN 1 END) AS n5
FROM chosen AS c
WHERE c.place = 1
  AND ((c.phase, c.flag_version) IN (SELECT (b.phase, b.flag_version) FROM shared AS b)
       OR ((SELECT count(*) FROM chosen WHERE flag_version = -1) > 0 AND (SELECT count(*) FROM shared) = 0))
GROUP BY c.arm ORDER BY c.arm
