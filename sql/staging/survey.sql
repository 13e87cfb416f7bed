-- what the slice needs beyond the ordinary: has suspects, the record types in it
SELECT coalesce(bool_or(suspect), false) AS has_suspects, list(DISTINCT kind) AS kinds FROM staged;
