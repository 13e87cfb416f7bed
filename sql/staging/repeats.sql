-- the same id more than once in the slice: the first stays, its copies are duplicates, other content goes to quarantine
INSERT INTO exceptions
WITH fresh AS (
  SELECT row_id, line, kind, id_hash, raw_hash FROM staged ANTI JOIN exceptions USING (line) WHERE kind <> 'heartbeat'
), firsts AS (
  SELECT kind, id_hash, min(row_id) AS row_id, arg_min(line, row_id) AS line, arg_min(raw_hash, row_id) AS raw_hash
  FROM fresh GROUP BY kind, id_hash HAVING count(*) > 1
)
SELECT f.row_id, f.line, f.kind, CASE WHEN f.raw_hash = o.raw_hash AND f.line <> o.line THEN 'duplicate' ELSE 'quarantine' END AS outcome,
  CASE WHEN f.raw_hash = o.raw_hash AND f.line <> o.line THEN NULL ELSE 'changed_duplicate' END AS reason, NULL AS field
FROM fresh AS f JOIN firsts AS o ON o.kind = f.kind AND o.id_hash = f.id_hash WHERE f.row_id <> o.row_id;
