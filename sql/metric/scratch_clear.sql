-- the minutes of the last piece are counted
DELETE FROM rollup_stale
