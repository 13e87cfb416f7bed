-- the different sets of keys in the slice, by record type: has a key the type does not know, has a key twice
CREATE OR REPLACE TEMP TABLE shapes AS
WITH sample AS (
  SELECT kind, shape, min(row_id) AS row_id FROM staged ANTI JOIN exceptions USING (line) GROUP BY kind, shape
)
SELECT s.kind, s.shape, NOT list_has_all(list_append(f.fields, 'record'), json_keys(i.text)) AS has_unknown,
  len(json_keys(i.text)) <> len(list_distinct(json_keys(i.text))) AS has_twice
FROM sample AS s JOIN incoming AS i ON i.row_id = s.row_id JOIN known_fields AS f ON f.kind = s.kind;
