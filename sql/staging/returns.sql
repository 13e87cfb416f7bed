-- When did the same customer start the next conversation, within 72 h? Looked up again for the customers of the touched conversations, in the
-- time around them only: a conversation up to 72 h before a touched start may have got its return now.
CREATE OR REPLACE TEMP TABLE returns AS
WITH span AS (
  SELECT min(least(m.started_at, b.started_at)) - INTERVAL 72 HOUR AS earliest, max(greatest(m.started_at, b.started_at)) AS latest
  FROM merged AS m LEFT JOIN before AS b ON b.id_hash = m.id_hash
  WHERE m.user_id IS NOT NULL AND (b.id_hash IS NULL OR b.started_at IS DISTINCT FROM m.started_at OR b.user_id IS DISTINCT FROM m.user_id)
), nearby AS (
  SELECT c.rowid AS row_number, c.id_hash, c.user_id, c.started_at, c.returned_at, span.latest FROM conversations AS c, span
  WHERE c.started_at BETWEEN span.earliest AND span.latest + INTERVAL 72 HOUR AND c.user_id IN (SELECT user_id FROM merged)
    AND c.id_hash NOT IN (SELECT id_hash FROM merged)
  UNION ALL
  SELECT m.row_number, m.id_hash, m.user_id, m.started_at, m.returned_at, span.latest FROM merged AS m, span
  WHERE m.started_at BETWEEN span.earliest AND span.latest + INTERVAL 72 HOUR AND m.user_id IS NOT NULL
), followed AS (
  SELECT row_number, id_hash, started_at, returned_at, latest, min(started_at) OVER (
    PARTITION BY user_id ORDER BY started_at RANGE BETWEEN INTERVAL 1 MICROSECOND FOLLOWING AND INTERVAL 72 HOUR FOLLOWING) AS next_start
  FROM nearby
)
SELECT row_number, id_hash, started_at, next_start FROM followed WHERE started_at <= latest AND returned_at IS DISTINCT FROM next_start;
