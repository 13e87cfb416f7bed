-- what a slice collects beside its lines. Rule of this folder: rows written in a transaction are never updated or deleted in the same transaction,
-- because DuckDB 2.0.0 corrupts string segments when they are; so corrections go into tables of their own, and `settled` joins them.
CREATE OR REPLACE TEMP TABLE exceptions (row_id BIGINT, line BIGINT, kind VARCHAR, outcome VARCHAR, reason VARCHAR, field VARCHAR);
CREATE OR REPLACE TEMP TABLE extras (row_id BIGINT, extra VARCHAR);
CREATE OR REPLACE TEMP TABLE masked (
  row_id BIGINT, question VARCHAR, answer VARCHAR, comment VARCHAR, escalation_reason VARCHAR, sources VARCHAR, extra VARCHAR, slots VARCHAR
);
CREATE OR REPLACE TEMP TABLE rejects (
  quarantine_id VARCHAR, line BIGINT, reason VARCHAR, field VARCHAR, detail VARCHAR, record VARCHAR, raw VARCHAR
);
