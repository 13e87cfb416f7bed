-- snapshot: requests and calls of dependencies per five minutes since $minute_from (naive UTC, on the hour), with the distribution of the time they took
SELECT slot AS start, kind, name, arm, eligible, calls, failed, timed_out, timed, total_ms, buckets
FROM rollup_service WHERE slot >= $minute_from ORDER BY start, kind, name, arm
