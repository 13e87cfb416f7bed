-- the conversations that the transaction is the first to name
INSERT INTO conversations BY NAME
SELECT m.* EXCLUDE (row_number) REPLACE (CASE WHEN r.id_hash IS NULL THEN m.returned_at ELSE r.next_start END AS returned_at)
FROM merged AS m LEFT JOIN returns AS r ON r.id_hash = m.id_hash WHERE m.row_number IS NULL;
