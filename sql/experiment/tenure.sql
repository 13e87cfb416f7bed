-- experiment: rows(unit, arm, stratum, seen_at, v0, v1, ...) with the whole days since their unit was first seen (day) and the weekday (1 = Monday)
SELECT *, date_diff('second', min(seen_at) OVER (PARTITION BY unit), seen_at) // 86400 AS day, isodow(seen_at) AS weekday FROM seen
