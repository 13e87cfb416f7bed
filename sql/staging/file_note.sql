-- how far the file has been read
INSERT INTO files BY NAME
SELECT $file_key AS file_key, $path AS path, $source AS source, $next_offset AS next_offset, $next_line AS next_line, false AS done, $moment AS updated_at;
