-- lines that will not be stored, and why; one row per finding, a line counts once
CREATE OR REPLACE TEMP TABLE exceptions AS
SELECT row_id, line, kind, 'quarantine' AS outcome, split_part(problem, ':', 1) AS reason, nullif(split_part(problem, ':', 2), '') AS field
FROM staged WHERE problem IS NOT NULL;
