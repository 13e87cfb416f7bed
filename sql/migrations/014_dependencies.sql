-- 014 dependencies: how requests and calls of each dependency went, per five minutes: failures, time-outs and the distribution of the time they took
-- One row per five minutes, kind (request or dependency), name, arm and eligibility. `timed` of the `calls` told a latency; `buckets` counts those by the
-- buckets of rollup_latency: bucket b holds (g^(b-1), g^b] ms with g = 1.01/0.99. `failed` ended in an error or timed out, `timed_out` is a part of it.
CREATE TABLE rollup_service (
  slot TIMESTAMP NOT NULL, kind VARCHAR NOT NULL, name VARCHAR NOT NULL, arm VARCHAR NOT NULL, eligible BOOLEAN NOT NULL,
  calls BIGINT NOT NULL, failed BIGINT NOT NULL, timed_out BIGINT NOT NULL, timed BIGINT NOT NULL, total_ms DOUBLE NOT NULL, buckets MAP(INTEGER, UBIGINT) NOT NULL
);
-- a warehouse that has facts already: one minute of every five with rows is asked for by hand, so that the next refresh fills the table
INSERT INTO touched_minutes
SELECT DISTINCT time_bucket(INTERVAL 5 MINUTE, ts) AS minute, CAST(0 AS BIGINT) AS batch_id
FROM (SELECT ts FROM interactions UNION ALL SELECT ts FROM dependency_calls) AS told
WHERE ts IS NOT NULL;
