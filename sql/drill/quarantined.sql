-- quarantined rows per reason
SELECT reason, count(*) AS n FROM quarantine GROUP BY reason ORDER BY reason
