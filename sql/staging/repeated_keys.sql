-- a record that gives one key twice has no clear meaning
INSERT INTO exceptions
SELECT s.row_id, s.line, s.kind, 'quarantine' AS outcome, 'repeated_key' AS reason, NULL AS field
FROM staged AS s JOIN shapes AS h ON h.kind = s.kind AND h.shape = s.shape AND h.has_twice
ANTI JOIN exceptions AS e ON e.line = s.line;
