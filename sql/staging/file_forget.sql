-- makes room for the file's new position: file_key
DELETE FROM files WHERE file_key = $file_key;
