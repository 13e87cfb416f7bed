-- drift: text_sides(is_reference, value VARCHAR, weight) as numbers; NULL where the text is none
SELECT is_reference, TRY_CAST(value AS DOUBLE) AS value, weight FROM text_sides
