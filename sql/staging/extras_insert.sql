-- unknown keys of records whose table has no `extra`: batch
INSERT INTO extra_fields
SELECT s.kind AS record, s.id_hash, s.extra, $batch AS batch_id FROM staged AS s
JOIN shapes AS h ON h.kind = s.kind AND h.shape = s.shape AND h.has_unknown WHERE s.kind NOT IN ('interaction', 'heartbeat') AND s.extra IS NOT NULL;
