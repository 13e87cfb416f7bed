-- the newest interaction with a time (naive UTC)
SELECT max(ts) AS newest FROM interactions
