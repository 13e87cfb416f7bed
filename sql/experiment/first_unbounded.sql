-- experiment: the first row (from 1, in the order of the file) of looked_at(value DOUBLE) that is infinite or not a number, and how many there are
SELECT min_by(value, place) AS value, min(place) AS place, count(*) AS wrong
FROM (SELECT row_number() OVER () AS place, value FROM looked_at)
WHERE value IS NOT NULL AND NOT isfinite(value)
