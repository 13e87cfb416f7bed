-- drift: units, sum and sum of squares of observed(part BOOLEAN, value DOUBLE) on either side of a split
SELECT part, count(value) AS n, coalesce(sum(value), 0) AS total, coalesce(sum(value * value), 0) AS squares FROM observed WHERE part IS NOT NULL GROUP BY part
