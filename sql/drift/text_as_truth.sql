-- drift: text_sides(is_reference, value VARCHAR, weight) as true or false, whatever wrote them: 0 and 1, true and false in any case
SELECT is_reference, CAST(TRY_CAST(coalesce(CAST(TRY_CAST(value AS DOUBLE) AS INTEGER)::VARCHAR, value) AS BOOLEAN) AS VARCHAR) AS value, weight FROM text_sides
