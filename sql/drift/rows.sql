-- interactions in [since, until)
SELECT count(*) AS interactions FROM interactions WHERE ts >= $since AND ts < $until
