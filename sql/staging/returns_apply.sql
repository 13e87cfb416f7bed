-- notes the returns found: batch
UPDATE conversations SET returned_at = r.next_start, batch_id = $batch FROM returns AS r WHERE conversations.rowid = r.row_number;
