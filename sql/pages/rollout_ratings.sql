-- pages: how often the control gave each rating, in the blocks of all traffic whose readings are here
SELECT CAST(coalesce(sum(k_c[1]), 0) AS BIGINT) AS k1, CAST(coalesce(sum(k_c[2]), 0) AS BIGINT) AS k2, CAST(coalesce(sum(k_c[3]), 0) AS BIGINT) AS k3,
       CAST(coalesce(sum(k_c[4]), 0) AS BIGINT) AS k4, CAST(coalesce(sum(k_c[5]), 0) AS BIGINT) AS k5
FROM readings WHERE metric = 'csat' AND segment = 'all' AND len(k_c) = 5
