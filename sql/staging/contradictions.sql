-- One conversation has one arm and one customer: those already stored, else those of its exposure, else of its first interaction.
INSERT INTO exceptions
WITH fresh AS (
  SELECT row_id, line, kind, conversation_hash, user_id, CASE kind WHEN 'exposure' THEN variant ELSE arm END AS arm,
    kind = 'interaction' AS after_exposure, order_key(ts, coalesce(turn, 0), id_hash) AS k
  FROM staged ANTI JOIN exceptions USING (line) WHERE kind IN ('interaction', 'exposure')
), spoken AS (
  SELECT conversation_hash, arg_min(arm, (after_exposure, k)) AS arm, arg_min(user_id, (after_exposure, k)) AS user_id
  FROM fresh GROUP BY conversation_hash HAVING min(arm) <> max(arm) OR min(user_id) <> max(user_id)
), settled AS (
  SELECT coalesce(x.id_hash, p.conversation_hash) AS conversation_hash, coalesce(x.arm, p.arm) AS arm, coalesce(x.user_id, p.user_id) AS user_id
  FROM existing AS x FULL JOIN spoken AS p ON p.conversation_hash = x.id_hash
)
SELECT f.row_id, f.line, f.kind, 'quarantine' AS outcome, 'contradicts_conversation' AS reason,
  CASE WHEN f.arm <> s.arm THEN 'arm' ELSE 'user_id' END AS field
FROM fresh AS f JOIN settled AS s ON s.conversation_hash = f.conversation_hash
WHERE f.arm <> s.arm OR f.user_id <> s.user_id;
