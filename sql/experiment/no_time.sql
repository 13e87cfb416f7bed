-- experiment: rows of looked_at(seen_at TIMESTAMP) without a time, and the first and the last time
SELECT count(*) - count(seen_at) AS without_time, min(seen_at) AS first_at, max(seen_at) AS last_at FROM looked_at
