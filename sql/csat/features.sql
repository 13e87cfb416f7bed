-- CSAT: what is logged of every mature unit, rated or silent, for the model of the silent; a fixed share of the units where there are more than $most
WITH total AS (SELECT count(*) AS n FROM csat_units WHERE counted AND mature),
chosen AS (
  SELECT u.* FROM csat_units AS u CROSS JOIN total AS t
  WHERE u.counted AND u.mature AND (t.n <= $most OR hash(u.conversation_id) % 1000000 < 1000000.0 * $most / t.n)
), requests AS (
  SELECT i.conversation_id, avg(ln(1 + i.latency_ms)) AS latency, count(i.error_type) > 0 AS failed, coalesce(bool_or(i.timed_out), FALSE) AS timed_out
  FROM interactions AS i SEMI JOIN chosen AS c ON c.conversation_id = i.conversation_id
  WHERE i.ts >= CAST($since AS TIMESTAMP) - INTERVAL 1 DAY GROUP BY i.conversation_id
)
SELECT c.arm, c.phase || ' v' || c.version || ' ' || strftime(c.week, '%G-W%V') AS stratum, c.rating, c.intent, c.segment, c.region, c.channel, c.phase, CAST(least(c.turns, 30) AS DOUBLE) AS turns, CAST(c.escalated AS DOUBLE) AS escalated,
       CAST(c.returned AS DOUBLE) AS returned, CAST(c.resolved AS DOUBLE) AS resolved, CAST(date_part('hour', c.started_at) AS DOUBLE) AS hour,
       r.latency, CAST(coalesce(r.failed, FALSE) AS DOUBLE) AS failed, CAST(coalesce(r.timed_out, FALSE) AS DOUBLE) AS timed_out
FROM chosen AS c LEFT JOIN requests AS r ON r.conversation_id = c.conversation_id
ORDER BY c.conversation_id
