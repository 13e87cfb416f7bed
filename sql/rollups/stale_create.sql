-- the minutes whose sums the waiting batches made stale, per family; $since..$until is when the changed conversations have rows
-- Ingest touches the minute of each row, and of the start of its conversation before and after: that is what conversations need. Arm and segment of a
-- conversation's other rows change with it too, so these are sought. A minute touched under batch 0 or less was asked for by hand (rows removed, rules changed) and is stale in every family.
CREATE OR REPLACE TEMP TABLE rollup_stale AS
WITH moved AS (
  SELECT t.ts FROM interactions AS t JOIN rollup_changed AS r ON r.conversation_id = t.conversation_id WHERE t.ts >= $since AND t.ts <= $until
  UNION ALL
  SELECT t.ts FROM model_calls AS t JOIN rollup_changed AS r ON r.conversation_id = t.conversation_id WHERE t.ts >= $since AND t.ts <= $until
  UNION ALL
  SELECT t.ts FROM dependency_calls AS t JOIN rollup_changed AS r ON r.conversation_id = t.conversation_id WHERE t.ts >= $since AND t.ts <= $until
), fresh AS (
  SELECT ts FROM model_calls WHERE batch_id BETWEEN $first_batch AND $last_batch AND batch_id IN (SELECT batch_id FROM rollup_pending)
  UNION ALL
  SELECT ts FROM dependency_calls WHERE batch_id BETWEEN $first_batch AND $last_batch AND batch_id IN (SELECT batch_id FROM rollup_pending)
  UNION ALL
  SELECT ts FROM interactions WHERE batch_id BETWEEN $first_batch AND $last_batch AND batch_id IN (SELECT batch_id FROM rollup_pending)
), activity AS (
  SELECT date_trunc('minute', ts) AS minute FROM moved
  UNION ALL
  SELECT date_trunc('minute', ts) AS minute FROM fresh
  UNION ALL
  SELECT date_trunc('minute', minute) AS minute FROM touched_minutes WHERE batch_id <= 0
)
SELECT DISTINCT family, minute
FROM (
  SELECT 'conversation' AS family, date_trunc('minute', minute) AS minute FROM touched_minutes
  UNION ALL
  SELECT 'activity' AS family, minute FROM activity
  UNION ALL
  SELECT 'evaluation' AS family, minute FROM activity
) AS marks
WHERE minute IS NOT NULL
