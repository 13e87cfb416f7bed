-- the stored conversations that the slice touches
CREATE OR REPLACE TEMP TABLE existing AS
SELECT c.rowid AS row_number, c.* FROM conversations AS c
WHERE c.id_hash IN (SELECT conversation_hash FROM staged WHERE problem IS NULL AND kind IN ('interaction', 'exposure', 'feedback'));
