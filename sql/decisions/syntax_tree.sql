-- the syntax tree of a query as JSON text, so that what it would read can be looked at before it runs
SELECT json_serialize_sql(CAST(? AS VARCHAR)) AS tree
