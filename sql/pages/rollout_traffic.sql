-- pages: what the traffic of [$since, $until) was like: per metric of $metrics, phase, eligibility and arm the counts, and over how many minutes the phase was counted
WITH chosen AS (
  SELECT metric, phase, eligible, arm, start, span_seconds, n, x FROM rollup
  WHERE list_contains($metrics, metric) AND start >= $since AND start < $until
), spans AS (
  SELECT phase, sum(span_seconds) / 60.0 AS minutes
  FROM (SELECT DISTINCT phase, start, span_seconds FROM chosen WHERE metric = 'traffic_volume') GROUP BY phase
)
SELECT c.metric, c.phase, c.eligible, c.arm, CAST(sum(c.n) AS BIGINT) AS n, CAST(sum(c.x) AS BIGINT) AS x, any_value(s.minutes) AS minutes
FROM chosen AS c LEFT JOIN spans AS s ON s.phase = c.phase
GROUP BY c.metric, c.phase, c.eligible, c.arm ORDER BY c.metric, c.phase, c.eligible, c.arm
