-- the stale minutes per family in slices of at most $slice minutes: first and last minute of each and how many there are
SELECT family, min(minute) AS first_minute, max(minute) AS last_minute, count(*) AS minutes
FROM (SELECT family, minute, (row_number() OVER (PARTITION BY family ORDER BY minute) - 1) // $slice AS slice FROM rollup_stale) AS numbered
GROUP BY family, slice
ORDER BY family, slice
