-- snapshot: sums per minute since $minute_from (naive UTC, on the hour), per hour before it; span_seconds says which
SELECT minute AS start, 60 AS span_seconds, arm, release, phase, segment, eligible, family, metric, n, x, total, total_sq
FROM rollup_minute WHERE minute >= $minute_from
UNION ALL
SELECT hour AS start, 3600 AS span_seconds, arm, release, phase, segment, eligible, family, metric, n, x, total, total_sq
FROM rollup_hour WHERE hour < $minute_from
ORDER BY metric, start
