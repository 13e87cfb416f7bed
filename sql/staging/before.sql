-- the touched conversations as they were
CREATE OR REPLACE TEMP TABLE before AS
SELECT rowid AS row_number, c.* FROM conversations AS c WHERE c.id_hash IN (SELECT id_hash FROM changes);
