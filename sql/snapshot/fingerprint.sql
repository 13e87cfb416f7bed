-- snapshot: one row that changes when the facts or the rollups changed; cheap on any history (maxima and small tables)
SELECT
  (SELECT max(batch_id) FROM batches) AS last_batch,
  (SELECT max(rolled_at) FROM rollup_runs) AS rolled_at,
  (SELECT count(*) FROM rollup_runs) AS rollup_runs,
  (SELECT count(*) FROM units) AS units,
  (SELECT count(*) FROM unit_blocks) AS unit_blocks,
  (SELECT max(last_ts) FROM sources) AS newest,
  (SELECT min(last_ts) FROM sources WHERE live) AS slowest
