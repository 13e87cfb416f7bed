-- state database (SQLite): the fault of the drill is over
DROP TRIGGER drill_full
