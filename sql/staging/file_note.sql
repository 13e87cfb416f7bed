-- how far the file has been read
MERGE INTO files USING (SELECT $file_key AS file_key) AS heard ON files.file_key = heard.file_key
WHEN MATCHED THEN UPDATE SET path = $path, source = $source, next_offset = $next_offset, next_line = $next_line, done = $done, updated_at = $moment
WHEN NOT MATCHED THEN INSERT (file_key, path, source, next_offset, next_line, done, updated_at)
  VALUES ($file_key, $path, $source, $next_offset, $next_line, $done, $moment);
