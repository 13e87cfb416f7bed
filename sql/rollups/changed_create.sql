-- conversations whose start, arm or segment a waiting batch may have changed: those with new turns or exposures
CREATE OR REPLACE TEMP TABLE rollup_changed AS
SELECT DISTINCT conversation_id
FROM (
  SELECT conversation_id FROM interactions
  WHERE batch_id BETWEEN $first_batch AND $last_batch AND batch_id IN (SELECT batch_id FROM rollup_pending)
  UNION ALL
  SELECT conversation_id FROM exposures
  WHERE batch_id BETWEEN $first_batch AND $last_batch AND batch_id IN (SELECT batch_id FROM rollup_pending)
) AS news
