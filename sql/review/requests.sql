-- review: sums of requests and their cost per week, stage, arm and metric over customers, as in outcomes; cost in billionths of a dollar
WITH customers AS (
  SELECT a.week, CASE WHEN $firsts THEN a.stratum ELSE 0 END AS stratum, a.arm, a.unit, CAST(sum(a.requests) AS BIGINT) AS requests, CAST(sum(a.failed) AS BIGINT) AS failed,
         CAST(sum(a.told) AS BIGINT) AS told, CAST(sum(a.timed_out) AS BIGINT) AS timed_out, CAST(sum(a.known) AS BIGINT) AS known, CAST(sum(a.tokens) AS BIGINT) AS tokens, CAST(sum(a.priced) AS BIGINT) AS priced, CAST(sum(a.cost) AS BIGINT) AS cost,
         CAST(sum(a.used) AS BIGINT) AS used, CAST(sum(a.unpriced) AS BIGINT) AS unpriced
  FROM review_asked AS a WHERE a.is_first OR NOT $firsts GROUP BY ALL
), sums AS (
  SELECT u.week, u.stratum AS stratum, u.arm, CAST(sum(u.requests) AS BIGINT) AS conversations, unnest([
    {'metric': 'request_error_rate', 'units': count(*) FILTER (u.requests > 0), 'y': sum(u.failed), 'x': sum(u.requests), 'yy': sum(u.failed * u.failed),
     'xx': sum(u.requests * u.requests), 'xy': sum(u.requests * u.failed), 'mature': sum(u.requests)},
    {'metric': 'timeout_rate', 'units': count(*) FILTER (u.told > 0), 'y': sum(u.timed_out), 'x': sum(u.told), 'yy': sum(u.timed_out * u.timed_out),
     'xx': sum(u.told * u.told), 'xy': sum(u.told * u.timed_out), 'mature': sum(u.requests)},
    {'metric': 'tokens_per_request', 'units': count(*) FILTER (u.known > 0), 'y': sum(u.tokens), 'x': sum(u.known), 'yy': sum(u.tokens * u.tokens),
     'xx': sum(u.known * u.known), 'xy': sum(u.known * u.tokens), 'mature': sum(u.requests)},
    {'metric': 'cost_per_1k_tokens', 'units': count(*) FILTER (u.priced > 0), 'y': sum(CAST(u.cost AS HUGEINT)), 'x': sum(CAST(u.priced AS HUGEINT)), 'yy': sum(CAST(u.cost AS HUGEINT) * CAST(u.cost AS HUGEINT)),
     'xx': sum(CAST(u.priced AS HUGEINT) * CAST(u.priced AS HUGEINT)), 'xy': sum(CAST(u.priced AS HUGEINT) * CAST(u.cost AS HUGEINT)), 'mature': sum(u.requests)},
    {'metric': 'unpriced_share', 'units': count(*) FILTER (u.used > 0), 'y': sum(u.unpriced), 'x': sum(u.used), 'yy': sum(u.unpriced * u.unpriced),
     'xx': sum(u.used * u.used), 'xy': sum(u.used * u.unpriced), 'mature': sum(u.requests)}]) AS m
  FROM customers AS u GROUP BY u.week, u.stratum, u.arm
)
SELECT s.m['metric'] AS metric, s.week, s.stratum, s.arm, s.m['units'] AS units, s.m['y'] AS y, s.m['x'] AS x, s.m['yy'] AS yy, s.m['xx'] AS xx, s.m['xy'] AS xy,
       s.conversations, CAST(s.m['mature'] AS BIGINT) AS mature
FROM sums AS s ORDER BY ALL
