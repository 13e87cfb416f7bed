-- unknown keys of records whose table has no `extra`: batch
INSERT INTO extra_fields
SELECT s.kind AS record, s.id_hash, s.extra, $batch AS batch_id FROM settled AS s JOIN extras AS x ON x.row_id = s.row_id
WHERE s.kind NOT IN ('interaction', 'heartbeat');
