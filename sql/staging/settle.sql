-- from here on `staged` holds exactly what will be stored; a source row that became several records stands or falls as one
DELETE FROM staged WHERE line IN (SELECT line FROM exceptions);
