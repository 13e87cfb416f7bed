-- the keys each record type knows, and a JSON merge patch that removes them
CREATE OR REPLACE TEMP TABLE known_fields AS
SELECT kind, list_append(list(field), 'record') AS fields, '{"record":null' || string_agg(',"' || field || '":null', '') || '}' AS removal
FROM fields GROUP BY kind;
