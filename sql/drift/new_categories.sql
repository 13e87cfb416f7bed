-- drift: the ten most frequent values of both_sides(side, value VARCHAR) that the reference never had, with their count and share of the current rows that have a value
WITH counted AS (
  SELECT value, count(*) FILTER (WHERE side = 'reference') AS r, count(*) FILTER (WHERE side = 'current') AS c
  FROM both_sides WHERE value IS NOT NULL GROUP BY value
)
SELECT value, c AS current_rows, c / (SELECT sum(c) FROM counted) AS current_share
FROM counted WHERE r = 0 ORDER BY c DESC, value LIMIT 10
