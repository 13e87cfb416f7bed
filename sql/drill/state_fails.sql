-- state database (SQLite): from here on a decision fails half-way through its transaction, when its incident is written
CREATE TRIGGER drill_full BEFORE INSERT ON incidents BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
