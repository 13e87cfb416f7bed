-- first and last minute that the batches touched
SELECT min(minute) AS first_minute, max(minute) AS last_minute FROM touched_minutes WHERE batch_id BETWEEN $first AND $last;
