-- drift: how many threads the database may use
SELECT current_setting('threads') AS threads
