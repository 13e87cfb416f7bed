-- adds the slice's rejected rows: batch, moment; a row that is there already (the same line of the same file, read again) stays once
INSERT INTO quarantine BY NAME
SELECT r.quarantine_id, $path AS path, r.line, r.reason, r.field, r.detail, r.record, r.raw, $batch AS batch_id, $moment AS quarantined_at
FROM rejects AS r ANTI JOIN quarantine AS q USING (quarantine_id);
