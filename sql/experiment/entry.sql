-- experiment: units(unit, arm, stratum, seen_at, v0, v1, ...) with the whole days since the first of all was seen (day) and the weekday (1 = Monday)
SELECT *, date_diff('second', min(seen_at) OVER (), seen_at) // 86400 AS day, isodow(seen_at) AS weekday FROM seen
