-- the waiting minutes are done (only those that this transaction saw)
DELETE FROM touched_minutes
