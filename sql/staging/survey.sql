-- what the slice needs beyond the ordinary: has suspects, has lines that are no record, the record types in it
SELECT coalesce(bool_or(suspect AND problem IS NULL), false) AS has_suspects, count(problem) > 0 AS has_problems, list(DISTINCT kind) AS kinds FROM staged;
