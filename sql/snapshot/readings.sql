-- snapshot: one row per closed block since $minute_from (and per older block in which something fired), trigger and segment: evidence (natural logs) against its threshold, and the block's counts
WITH kept AS (
  SELECT seq, rollout_id, policy_hash, lane, CAST(block_start AS TIMESTAMP) AS block_start, span_seconds, CAST(closed_at AS TIMESTAMP) AS closed_at, readings, counts
  FROM ledger_rows WHERE CAST(block_start AS TIMESTAMP) >= $minute_from OR contains(readings, '"fired":true')
), seen AS (
  SELECT seq, unnest(from_json(readings,
    '[{"trigger":"VARCHAR","metric":"VARCHAR","segment":"VARCHAR","action":"VARCHAR","verdict":"VARCHAR","log_e":"DOUBLE","log_threshold":"DOUBLE","fired":"BOOLEAN","onset":"VARCHAR","weight_spent":"DOUBLE"}]')) AS one
  FROM kept
), counted AS (
  SELECT seq, unnest(from_json(counts,
    '[{"stream":"VARCHAR","segment":"VARCHAR","nT":"BIGINT","xT":"BIGINT","nC":"BIGINT","xC":"BIGINT","kT":["BIGINT"],"kC":["BIGINT"]}]')) AS one
  FROM kept
), blocks AS (
  SELECT seq, rollout_id, policy_hash, lane, block_start, span_seconds, closed_at FROM kept
)
SELECT
  blocks.rollout_id, blocks.policy_hash, blocks.lane, blocks.block_start, blocks.span_seconds, blocks.closed_at,
  seen.one.trigger AS trigger, seen.one.metric AS metric, seen.one.segment AS segment, seen.one.action AS action, seen.one.verdict AS verdict,
  seen.one.log_e AS log_e, seen.one.log_threshold AS log_threshold, seen.one.fired AS fired,
  CAST(seen.one.onset AS TIMESTAMP) AS onset, seen.one.weight_spent AS weight_spent,
  counted.one.nT AS n_t, counted.one.xT AS x_t, counted.one.nC AS n_c, counted.one.xC AS x_c, counted.one.kT AS k_t, counted.one.kC AS k_c
FROM seen
JOIN blocks ON blocks.seq = seen.seq
LEFT JOIN counted ON counted.seq = seen.seq AND counted.one.stream = seen.one.trigger AND counted.one.segment = seen.one.segment
ORDER BY trigger, segment, block_start
