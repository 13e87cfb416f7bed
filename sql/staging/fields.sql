-- the landing schema as data (see controlplane/ingest/schema.py): one row a field, one list a column; and its keys by record type
CREATE OR REPLACE TEMP TABLE fields AS
SELECT unnest(CAST($kind AS VARCHAR[])) AS kind, unnest(CAST($ordinal AS INTEGER[])) AS ordinal, unnest(CAST($field AS VARCHAR[])) AS field,
  unnest(CAST($type AS VARCHAR[])) AS type, unnest(CAST($required AS BOOLEAN[])) AS required, unnest(CAST($low AS DOUBLE[])) AS low,
  unnest(CAST($high AS DOUBLE[])) AS high, unnest(CAST($above_low AS BOOLEAN[])) AS above_low, unnest(CAST($choices AS VARCHAR[][])) AS choices;
