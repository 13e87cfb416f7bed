-- arm and customer of the conversations that the slice names: as stored, or as an earlier slice of the same transaction said
CREATE OR REPLACE TEMP TABLE existing AS
WITH named AS (
  SELECT DISTINCT conversation_hash FROM staged WHERE kind IN ('interaction', 'exposure')
)
SELECT id_hash, max(arm) AS arm, max(user_id) AS user_id FROM (
  SELECT id_hash, arm, user_id FROM conversations WHERE id_hash IN (SELECT conversation_hash FROM named)
  UNION ALL SELECT id_hash, arm, user_id FROM pending WHERE id_hash IN (SELECT conversation_hash FROM named)
) GROUP BY id_hash;
