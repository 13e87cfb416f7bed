-- how far each file of the landing folder has been read
SELECT file_key, next_offset, next_line, done FROM files WHERE file_key LIKE 'landing/%';
