-- drift: how many weights of text_sides(value VARCHAR) are not numbers >= 0, and one of them
SELECT count(*) AS bad, coalesce(any_value(value), 'a missing one') AS example
FROM text_sides WHERE NOT coalesce(TRY_CAST(value AS DOUBLE) >= 0 AND isfinite(TRY_CAST(value AS DOUBLE)), false)
