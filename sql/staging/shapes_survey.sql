-- whether any record has a key its type does not know, or a key twice
SELECT coalesce(bool_or(has_unknown), false) AS has_unknown, coalesce(bool_or(has_twice), false) AS has_twice FROM shapes;
