-- review: model cost per conversation and per resolved conversation, sums over customers as in outcomes; cost in billionths of a dollar
WITH spent AS (
  SELECT a.conversation_id, CAST(sum(a.cost) AS BIGINT) AS cost FROM review_asked AS a GROUP BY a.conversation_id
), customers AS (
  SELECT c.week, c.arm, c.unit, count(*) AS n, CAST(coalesce(sum(s.cost), 0) AS BIGINT) AS cost,
         count(*) FILTER (c.started_at <= CAST($now AS TIMESTAMP) - $maturity_resolution * INTERVAL 1 SECOND) AS mature,
         CAST(coalesce(sum(s.cost) FILTER (c.started_at <= CAST($now AS TIMESTAMP) - $maturity_resolution * INTERVAL 1 SECOND), 0) AS BIGINT) AS cost_mature,
         count(*) FILTER (c.started_at <= CAST($now AS TIMESTAMP) - $maturity_resolution * INTERVAL 1 SECOND AND c.resolved AND NOT c.escalated
           AND coalesce(c.resolved_at <= c.started_at + $maturity_resolution * INTERVAL 1 SECOND, TRUE)) AS resolved
  FROM review_conversations AS c LEFT JOIN spent AS s ON s.conversation_id = c.conversation_id WHERE c.eligible
  GROUP BY c.week, c.arm, c.unit
), sums AS (
  SELECT u.week, 0 AS stratum, u.arm, CAST(sum(u.n) AS BIGINT) AS conversations, unnest([
    {'metric': 'cost_per_conversation', 'units': count(*) FILTER (u.n > 0), 'y': sum(CAST(u.cost AS HUGEINT)), 'x': sum(u.n), 'yy': sum(CAST(u.cost AS HUGEINT) * CAST(u.cost AS HUGEINT)),
     'xx': sum(u.n * u.n), 'xy': sum(u.n * CAST(u.cost AS HUGEINT)), 'mature': sum(u.n)},
    {'metric': 'cost_per_resolved', 'units': count(*), 'y': sum(CAST(u.cost_mature AS HUGEINT)), 'x': sum(u.resolved), 'yy': sum(CAST(u.cost_mature AS HUGEINT) * CAST(u.cost_mature AS HUGEINT)),
     'xx': sum(u.resolved * u.resolved), 'xy': sum(u.resolved * CAST(u.cost_mature AS HUGEINT)), 'mature': sum(u.mature)}]) AS m
  FROM customers AS u GROUP BY u.week, u.arm
)
SELECT s.m['metric'] AS metric, s.week, s.stratum, s.arm, CAST(s.m['units'] AS BIGINT) AS units, s.m['y'] AS y, s.m['x'] AS x, s.m['yy'] AS yy, s.m['xx'] AS xx, s.m['xy'] AS xy,
       s.conversations, CAST(s.m['mature'] AS BIGINT) AS mature
FROM sums AS s ORDER BY ALL
