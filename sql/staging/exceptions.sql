-- lines that are no record at all
INSERT INTO exceptions
SELECT row_id, line, kind, 'quarantine' AS outcome, split_part(problem, ':', 1) AS reason, nullif(split_part(problem, ':', 2), '') AS field
FROM staged WHERE problem IS NOT NULL;
