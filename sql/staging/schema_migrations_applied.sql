-- numbers of the migrations already applied
SELECT number FROM schema_migrations;
