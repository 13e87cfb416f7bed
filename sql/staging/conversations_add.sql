-- the conversations that the slice is the first to name
INSERT INTO conversations BY NAME SELECT * FROM merged WHERE id_hash NOT IN (SELECT id_hash FROM existing);
