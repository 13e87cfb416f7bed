-- CSAT: mean rating by how long the answer took ($maturity seconds; later ones are counted nowhere else), per arm; only mature units
SELECT CASE WHEN u.delay IS NULL THEN 'not logged' WHEN u.delay > $maturity THEN 'after maturity' WHEN u.delay < $maturity / 288.0 THEN 'first 1/288'
            WHEN u.delay < $maturity / 24.0 THEN 'to 1/24' WHEN u.delay < $maturity / 4.0 THEN 'to 1/4' ELSE 'to maturity' END AS bucket,
       u.arm, count(*) AS n, sum(coalesce(u.rating, u.late)) AS total, sum(coalesce(u.rating, u.late) * coalesce(u.rating, u.late)) AS squares
FROM csat_units AS u WHERE u.counted AND u.mature AND coalesce(u.rating, u.late) IS NOT NULL GROUP BY ALL ORDER BY bucket, u.arm
