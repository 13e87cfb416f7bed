-- tables of this session alone that the queries of sql/rollups then fill instead of the kept ones (a temporary table hides one of the same name)
CREATE TEMP TABLE rollup_minute AS SELECT * FROM rollup_minute LIMIT 0;
CREATE TEMP TABLE rollup_latency AS SELECT * FROM rollup_latency LIMIT 0;
CREATE TEMP TABLE rollup_model AS SELECT * FROM rollup_model LIMIT 0;
CREATE TEMP TABLE rollup_stale (family VARCHAR NOT NULL, minute TIMESTAMP NOT NULL);
