-- the oldest interaction with a time (naive UTC)
SELECT min(ts) AS oldest FROM interactions
