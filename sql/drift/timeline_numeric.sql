-- drift: a sketch per column and bucket of observed(ts, width BIGINT in µs, columns DOUBLE): rows, usable rows, mean, population sd and the quantiles .005, .015, ..., .995
SELECT name, make_timestamp((epoch_us(ts) // width) * width) AS bucket, count(*) AS all_rows, count(*) FILTER (WHERE isfinite(value)) AS usable,
  avg(value) FILTER (WHERE isfinite(value)) AS mean, stddev_pop(value) FILTER (WHERE isfinite(value)) AS sd,
  quantile_disc(value, list_transform(range(100), lambda i: (i + 0.5) / 100)) FILTER (WHERE isfinite(value)) AS quantiles
FROM observed UNPIVOT INCLUDE NULLS (value FOR name IN (COLUMNS(* EXCLUDE (ts, width)))) AS long
GROUP BY name, bucket ORDER BY name, bucket
