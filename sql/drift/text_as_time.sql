-- drift: text_sides(is_reference, value VARCHAR, weight) as times; NULL where the text is none
SELECT is_reference, TRY_CAST(value AS TIMESTAMP) AS value, weight FROM text_sides
