-- how many subjects the new evaluations judge, and from when to when
SELECT count(*) AS subjects, min(first_ts) AS first_ts, max(last_ts) AS last_ts FROM rollup_judged
