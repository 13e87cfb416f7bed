-- what goes to quarantine, once a line, with its text: the first finding of a line names the reason
SELECT e.line, e.kind, e.reason, e.field, i.raw_hash, i.text
FROM (
  SELECT line, min(row_id) AS row_id, arg_min(kind, row_id) AS kind, arg_min(reason, row_id) AS reason, arg_min(field, row_id) AS field
  FROM exceptions WHERE outcome = 'quarantine' GROUP BY line
) AS e JOIN incoming AS i ON i.row_id = e.row_id ORDER BY e.line;
