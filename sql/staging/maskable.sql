-- rows with content that masking could change; $pattern matches a superset of what it changes
WITH kept AS (
  SELECT s.row_id, question, answer, comment, escalation_reason, sources, CASE WHEN x.row_id IS NULL THEN s.extra ELSE x.extra END AS extra, slots
  FROM staged AS s LEFT JOIN extras AS x ON x.row_id = s.row_id ANTI JOIN exceptions AS e ON e.line = s.line
)
SELECT row_id, question, answer, comment, escalation_reason, sources, extra, slots FROM kept
WHERE regexp_matches(concat_ws(chr(10), question, answer, comment, escalation_reason, sources, extra, slots), $pattern);
