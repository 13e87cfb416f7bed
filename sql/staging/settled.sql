-- what will be stored: lines without exception (a source row that became several records stands or falls as one), with unknown keys in `extra` and
-- masked content. A table of its own, because `staged` was written in this transaction and is not changed in it.
CREATE OR REPLACE TEMP TABLE settled AS
SELECT s.* EXCLUDE (problem, suspect) REPLACE (
  CASE WHEN m.row_id IS NULL THEN s.question ELSE m.question END AS question, CASE WHEN m.row_id IS NULL THEN s.answer ELSE m.answer END AS answer,
  CASE WHEN m.row_id IS NULL THEN s.comment ELSE m.comment END AS comment, CASE WHEN m.row_id IS NULL THEN s.sources ELSE m.sources END AS sources,
  CASE WHEN m.row_id IS NULL THEN s.escalation_reason ELSE m.escalation_reason END AS escalation_reason,
  CASE WHEN m.row_id IS NULL THEN s.slots ELSE m.slots END AS slots,
  CASE WHEN m.row_id IS NOT NULL THEN m.extra WHEN x.row_id IS NOT NULL THEN x.extra ELSE s.extra END AS extra)
FROM staged AS s LEFT JOIN extras AS x ON x.row_id = s.row_id LEFT JOIN masked AS m ON m.row_id = s.row_id
ANTI JOIN exceptions AS e ON e.line = s.line;
