-- ids that are already stored: the same content is a duplicate, other content under the same id goes to quarantine
-- Reads only the narrow hash columns of the history; the slice is the small side of each join.
INSERT INTO exceptions
WITH sound AS (
  SELECT row_id, line, kind, id_hash, raw_hash FROM staged ANTI JOIN exceptions USING (line)
), stored AS (
  SELECT 'interaction' AS kind, id_hash, raw_hash FROM interactions WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'interaction')
  UNION ALL SELECT 'exposure' AS kind, id_hash, raw_hash FROM exposures WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'exposure')
  UNION ALL SELECT 'model_call' AS kind, id_hash, raw_hash FROM model_calls WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'model_call')
  UNION ALL
  SELECT 'dependency_call' AS kind, id_hash, raw_hash FROM dependency_calls WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'dependency_call')
  UNION ALL SELECT 'workflow_run' AS kind, id_hash, raw_hash FROM workflow_runs WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'workflow_run')
  UNION ALL SELECT 'feedback' AS kind, id_hash, raw_hash FROM feedback WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'feedback')
  UNION ALL SELECT 'evaluation' AS kind, id_hash, raw_hash FROM evaluations WHERE id_hash IN (SELECT id_hash FROM sound WHERE kind = 'evaluation')
)
SELECT s.row_id, s.line, s.kind, CASE WHEN s.raw_hash = h.raw_hash THEN 'duplicate' ELSE 'quarantine' END AS outcome,
  CASE WHEN s.raw_hash = h.raw_hash THEN NULL ELSE 'changed_duplicate' END AS reason, NULL AS field
FROM sound AS s JOIN stored AS h ON h.kind = s.kind AND h.id_hash = s.id_hash;
