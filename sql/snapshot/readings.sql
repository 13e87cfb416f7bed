-- snapshot: one row per closed block since $minute_from (and per older block in which something fired), trigger and segment: evidence (natural logs) against its threshold, and the block's counts
WITH kept AS (
  SELECT * FROM ledger_rows WHERE CAST(block_start AS TIMESTAMP) >= $minute_from OR contains(readings, '"fired":true')
), packed AS (
  SELECT rollout_id, policy_hash, lane, CAST(block_start AS TIMESTAMP) AS block_start, span_seconds, CAST(closed_at AS TIMESTAMP) AS closed_at,
         seq, counts, unnest(from_json(readings, '["JSON"]')) AS reading
  FROM kept
), counted AS (
  SELECT seq, unnest(from_json(counts, '["JSON"]')) AS counted FROM kept
)
SELECT
  packed.rollout_id, packed.policy_hash, packed.lane, packed.block_start, packed.span_seconds, packed.closed_at,
  packed.reading ->> 'trigger' AS trigger,
  packed.reading ->> 'metric' AS metric,
  packed.reading ->> 'segment' AS segment,
  packed.reading ->> 'action' AS action,
  packed.reading ->> 'verdict' AS verdict,
  CAST(packed.reading ->> 'log_e' AS DOUBLE) AS log_e,
  CAST(packed.reading ->> 'log_threshold' AS DOUBLE) AS log_threshold,
  CAST(packed.reading ->> 'fired' AS BOOLEAN) AS fired,
  CAST(packed.reading ->> 'onset' AS TIMESTAMP) AS onset,
  CAST(packed.reading ->> 'weight_spent' AS DOUBLE) AS weight_spent,
  CAST(counted.counted ->> 'nT' AS BIGINT) AS n_t,
  CAST(counted.counted ->> 'xT' AS BIGINT) AS x_t,
  CAST(counted.counted ->> 'nC' AS BIGINT) AS n_c,
  CAST(counted.counted ->> 'xC' AS BIGINT) AS x_c,
  CAST(counted.counted -> 'kT' AS BIGINT[]) AS k_t,
  CAST(counted.counted -> 'kC' AS BIGINT[]) AS k_c
FROM packed
LEFT JOIN counted
  ON counted.seq = packed.seq
 AND counted.counted ->> 'stream' = packed.reading ->> 'trigger'
 AND counted.counted ->> 'segment' = packed.reading ->> 'segment'
ORDER BY trigger, segment, block_start
