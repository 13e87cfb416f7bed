-- notes the returns of conversations that are otherwise as they were: batch
-- In the order of the rows: an update that jumps between rows is a hundred times slower.
UPDATE conversations SET returned_at = r.next_start, batch_id = $batch
FROM (SELECT row_number, next_start FROM returns ANTI JOIN merged USING (id_hash) ORDER BY row_number) AS r
WHERE conversations.rowid = r.row_number;
