-- drift: counts per column, bucket and value of observed(ts, width BIGINT in µs, columns VARCHAR), the 200 most frequent values of each bucket, the others as one; NULL is a value of its own
WITH counted AS (
  SELECT name, make_timestamp((epoch_us(ts) // width) * width) AS bucket, value, count(*) AS n
  FROM observed UNPIVOT INCLUDE NULLS (value FOR name IN (COLUMNS(* EXCLUDE (ts, width)))) AS long GROUP BY name, bucket, value
),
ranked AS (SELECT *, row_number() OVER (PARTITION BY name, bucket, value IS NULL ORDER BY n DESC, value) AS place FROM counted)
SELECT name, bucket, CASE WHEN place <= 200 THEN value ELSE '(others)' END AS kept, CAST(sum(n) AS BIGINT) AS n
FROM ranked GROUP BY name, bucket, kept ORDER BY name, bucket, kept
