-- the live sources: how many, how many of them never told a time, and the time that the slowest has reached
SELECT count(*) AS live, count(*) - count(last_ts) AS silent, min(last_ts) AS slowest FROM sources WHERE live
