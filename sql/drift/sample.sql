-- drift: at most 100,000 rows of a Parquet file ($path) for the report; the same rows every time on one thread (fixed seed)
SELECT * FROM read_parquet($path) USING SAMPLE reservoir(100000 ROWS) REPEATABLE (20260105)
