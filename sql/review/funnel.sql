-- review: how far the conversations of [$since, $until) came, per arm, with what was known at batch $last_batch
WITH logged AS (
  SELECT x.conversation_id, max(x.variant) AS arm, bool_or(coalesce(x.eligible, TRUE)) AS eligible FROM exposures AS x
  WHERE x.ts >= $since AND x.ts < $until AND x.batch_id <= $last_batch GROUP BY x.conversation_id
), together AS (
  SELECT coalesce(c.arm, l.arm) AS arm, coalesce(c.eligible, l.eligible) AS eligible, l.conversation_id IS NOT NULL AS exposed, coalesce(c.turns, 0) > 0 AS involved,
         coalesce(c.resolved AND NOT c.escalated, FALSE) AS resolved, c.returned_at IS NULL AS not_back,
         coalesce(c.started_at <= CAST($now AS TIMESTAMP) - $maturity_contact * INTERVAL 1 SECOND, FALSE) AS mature
  FROM (SELECT * FROM review_conversations AS r WHERE r.week = 1) AS c FULL JOIN logged AS l ON l.conversation_id = c.conversation_id
)
SELECT t.arm, count(*) AS assigned, count(*) FILTER (t.eligible) AS eligible, count(*) FILTER (t.eligible AND t.exposed) AS exposed,
       count(*) FILTER (t.eligible AND t.involved) AS involved, count(*) FILTER (t.eligible AND t.involved AND t.resolved) AS resolved,
       count(*) FILTER (t.eligible AND t.involved AND t.resolved AND t.mature) AS resolved_mature,
       count(*) FILTER (t.eligible AND t.involved AND t.resolved AND t.mature AND t.not_back) AS not_back
FROM together AS t WHERE t.arm IN ('assistant', 'baseline') GROUP BY t.arm ORDER BY t.arm
