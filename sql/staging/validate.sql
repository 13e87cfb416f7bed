-- The suspects, field by field, against the landing schema; the first problem wins: wrong type, missing, impossible, unknown arm, future time; then in the order of fields.
INSERT INTO exceptions
WITH found AS (
  WITH looked AS (
    SELECT s.row_id, f.*, json_type(i.text, '$.' || f.field) AS found, i.text ->> ('$.' || f.field) AS val, json_type(i.text) AS whole
    FROM (SELECT row_id, kind FROM staged WHERE suspect AND problem IS NULL) AS s
    JOIN incoming AS i ON i.row_id = s.row_id JOIN fields AS f ON f.kind = s.kind
  ), read AS (
    SELECT *, found IS NULL OR found = 'NULL' OR (required AND val = '') AS is_missing, as_number(val) AS num, as_time(val) AS moment FROM looked
  ), judged AS (
    SELECT row_id, ordinal, field, CASE
      WHEN whole <> 'OBJECT' THEN 'not_json'
      WHEN is_missing THEN CASE WHEN required THEN 'missing_required' END
      WHEN type = 'text' AND found IN ('OBJECT', 'ARRAY', 'BOOLEAN') THEN 'wrong_type'
      WHEN type IN ('number', 'count') AND found IN ('VARCHAR', 'OBJECT', 'ARRAY', 'BOOLEAN') THEN 'wrong_type'
      WHEN type = 'flag' AND (found = 'VARCHAR' OR as_flag(val) IS NULL) THEN 'wrong_type'
      WHEN type = 'object' AND found <> 'OBJECT' THEN 'wrong_type'
      WHEN type = 'time' AND (found <> 'VARCHAR' OR moment IS NULL) THEN 'wrong_type'
      WHEN type IN ('number', 'count') AND (num IS NULL OR NOT num BETWEEN low AND high OR (above_low AND num = low)) THEN 'impossible_value'
      WHEN type = 'count' AND num <> trunc(num) THEN 'impossible_value'
      WHEN type = 'time' AND moment < TIMESTAMP '2000-01-01' THEN 'impossible_value'
      WHEN len(choices) > 0 AND NOT list_contains(choices, val) THEN CASE WHEN field IN ('arm', 'variant') THEN 'unknown_arm' ELSE 'impossible_value' END
      WHEN type = 'time' AND moment > $latest THEN 'future_time'
      END AS reason
    FROM read
  )
  SELECT row_id, arg_min(CASE reason WHEN 'not_json' THEN reason ELSE reason || ':' || field END,
    list_position(['not_json', 'wrong_type', 'missing_required', 'impossible_value', 'unknown_arm', 'future_time'], reason) * 1000 + ordinal) AS problem
  FROM judged WHERE reason IS NOT NULL GROUP BY row_id
)
SELECT s.row_id, s.line, s.kind, 'quarantine' AS outcome, split_part(f.problem, ':', 1) AS reason, nullif(split_part(f.problem, ':', 2), '') AS field
FROM found AS f JOIN staged AS s ON s.row_id = f.row_id;
