-- review: sums of outcomes per week, stage, arm and metric over customers, for ratios with errors clustered by customer; integers, so they are the same every time
-- Only conversations whose label was final at $now ($maturity_* seconds after the start) and labels that came in time. $firsts: a customer's first
-- conversation of a stage and week (what arms are compared on); else all of them, of all stages. resolution_time is in ms.
WITH told AS (
  SELECT c.week, CASE WHEN $firsts THEN c.stratum ELSE 0 END AS stratum, c.arm, c.unit,
         c.started_at <= CAST($now AS TIMESTAMP) - $maturity_csat * INTERVAL 1 SECOND AS of_csat,
         c.started_at <= CAST($now AS TIMESTAMP) - $maturity_contact * INTERVAL 1 SECOND AS of_contact,
         c.started_at <= CAST($now AS TIMESTAMP) - $maturity_escalation * INTERVAL 1 SECOND AS of_escalation,
         c.started_at <= CAST($now AS TIMESTAMP) - $maturity_resolution * INTERVAL 1 SECOND AS of_resolution,
         CASE WHEN c.csat_at <= c.started_at + $maturity_csat * INTERVAL 1 SECOND THEN CAST(round(c.csat) AS BIGINT) END AS rating,
         coalesce(c.returned_at <= c.started_at + $maturity_contact * INTERVAL 1 SECOND, FALSE) AS back,
         c.escalated AND coalesce(c.escalated_at <= c.started_at + $maturity_escalation * INTERVAL 1 SECOND, TRUE) AS person,
         c.resolved IS NOT NULL AND coalesce(c.resolved_at <= c.started_at + $maturity_resolution * INTERVAL 1 SECOND, TRUE) AS known,
         coalesce(c.resolved, FALSE) AS resolved, date_diff('millisecond', c.started_at, c.resolved_at) AS took
  FROM review_conversations AS c WHERE c.eligible AND (c.is_first OR NOT $firsts)
), customers AS (
  SELECT t.week, t.stratum, t.arm, t.unit, count(*) AS n,
         count(*) FILTER (t.of_csat) AS n_csat, count(t.rating) FILTER (t.of_csat) AS rated, CAST(coalesce(sum(t.rating) FILTER (t.of_csat), 0) AS BIGINT) AS points,
         count(*) FILTER (t.of_contact) AS n_contact, count(*) FILTER (t.of_contact AND t.back) AS back,
         count(*) FILTER (t.of_escalation) AS n_escalation, count(*) FILTER (t.of_escalation AND t.person) AS persons,
         count(*) FILTER (t.of_resolution) AS n_resolution, count(*) FILTER (t.of_resolution AND t.known) AS known,
         count(*) FILTER (t.of_resolution AND t.known AND t.resolved AND NOT t.person) AS resolved,
         count(t.took) FILTER (t.of_resolution AND t.known AND t.resolved AND NOT t.person) AS timed,
         CAST(coalesce(sum(t.took) FILTER (t.of_resolution AND t.known AND t.resolved AND NOT t.person), 0) AS BIGINT) AS took
  FROM told AS t GROUP BY t.week, t.stratum, t.arm, t.unit
), sums AS (
  SELECT u.week, u.stratum AS stratum, u.arm, CAST(sum(u.n) AS BIGINT) AS conversations, unnest([
    {'metric': 'csat', 'units': count(*) FILTER (u.rated > 0), 'y': sum(u.points), 'x': sum(u.rated), 'yy': sum(u.points * u.points),
     'xx': sum(u.rated * u.rated), 'xy': sum(u.rated * u.points), 'mature': sum(u.n_csat)},
    {'metric': 'csat_response_rate', 'units': count(*) FILTER (u.n_csat > 0), 'y': sum(u.rated), 'x': sum(u.n_csat), 'yy': sum(u.rated * u.rated),
     'xx': sum(u.n_csat * u.n_csat), 'xy': sum(u.n_csat * u.rated), 'mature': sum(u.n_csat)},
    {'metric': 'contact_rate', 'units': count(*) FILTER (u.n_contact > 0), 'y': sum(u.back), 'x': sum(u.n_contact), 'yy': sum(u.back * u.back),
     'xx': sum(u.n_contact * u.n_contact), 'xy': sum(u.n_contact * u.back), 'mature': sum(u.n_contact)},
    {'metric': 'escalation_rate', 'units': count(*) FILTER (u.n_escalation > 0), 'y': sum(u.persons), 'x': sum(u.n_escalation), 'yy': sum(u.persons * u.persons),
     'xx': sum(u.n_escalation * u.n_escalation), 'xy': sum(u.n_escalation * u.persons), 'mature': sum(u.n_escalation)},
    {'metric': 'resolution_rate', 'units': count(*) FILTER (u.known > 0), 'y': sum(u.resolved), 'x': sum(u.known), 'yy': sum(u.resolved * u.resolved),
     'xx': sum(u.known * u.known), 'xy': sum(u.known * u.resolved), 'mature': sum(u.n_resolution)},
    {'metric': 'resolution_time', 'units': count(*) FILTER (u.timed > 0), 'y': sum(CAST(u.took AS HUGEINT)), 'x': sum(u.timed), 'yy': sum(CAST(u.took AS HUGEINT) * CAST(u.took AS HUGEINT)),
     'xx': sum(u.timed * u.timed), 'xy': sum(u.timed * CAST(u.took AS HUGEINT)), 'mature': sum(u.n_resolution)}]) AS m
  FROM customers AS u GROUP BY u.week, u.stratum, u.arm
)
SELECT s.m['metric'] AS metric, s.week, s.stratum, s.arm, s.m['units'] AS units, s.m['y'] AS y, s.m['x'] AS x, s.m['yy'] AS yy, s.m['xx'] AS xx, s.m['xy'] AS xy,
       s.conversations, CAST(s.m['mature'] AS BIGINT) AS mature
FROM sums AS s ORDER BY ALL
