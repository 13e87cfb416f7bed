-- the file is complete: nothing will be added to it
UPDATE files SET done = true, updated_at = $moment WHERE file_key = $file_key;
