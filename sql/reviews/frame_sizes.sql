-- how many answers of the frame each stratum has
SELECT stratum, count(*) AS answers FROM review_frame GROUP BY stratum ORDER BY stratum
