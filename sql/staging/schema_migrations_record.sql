-- remembers an applied migration: number, name
INSERT INTO schema_migrations (number, name) VALUES (?, ?);
