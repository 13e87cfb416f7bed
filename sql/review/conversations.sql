-- review: the conversations of two weeks, [$before, $since) and [$since, $until), as they were at ingest batch $last_batch; stage spans began at $starts
-- `unit` stands for the customer, and is only good to tell customers apart. A row that was touched later is told again from the records of that time, as ingest tells it; all others are what they were.
CREATE OR REPLACE TEMP TABLE review_conversations AS
WITH touched AS MATERIALIZED (
  SELECT c.conversation_id FROM conversations AS c
  WHERE c.batch_id > $last_batch AND c.started_at < CAST($until AS TIMESTAMP) + INTERVAL 72 HOUR AND c.last_at >= $before
), said AS (
  SELECT i.conversation_id, 'interaction' AS kind, i.ts, i.turn AS place, i.id_hash, i.user_id, i.arm, i.release, i.phase, i.intent_pred AS intent,
         NULL AS rollout_id, NULL AS eligible, i.escalated, i.resolved, i.csat
  FROM interactions AS i JOIN touched AS t ON t.conversation_id = i.conversation_id WHERE i.batch_id <= $last_batch
  UNION ALL
  SELECT x.conversation_id, 'exposure' AS kind, x.ts, 0 AS place, x.id_hash, x.user_id, x.variant AS arm, x.release, x.phase, x.intent_first AS intent,
         x.rollout_id, x.eligible, NULL AS escalated, NULL AS resolved, NULL AS csat
  FROM exposures AS x JOIN touched AS t ON t.conversation_id = x.conversation_id WHERE x.batch_id <= $last_batch
  UNION ALL
  SELECT f.conversation_id, 'feedback' AS kind, f.ts, 2147483647 AS place, f.id_hash, NULL AS user_id, NULL AS arm, NULL AS release, NULL AS phase,
         NULL AS intent, NULL AS rollout_id, NULL AS eligible, NULL AS escalated, f.resolved, f.csat
  FROM feedback AS f JOIN touched AS t ON t.conversation_id = f.conversation_id WHERE f.batch_id <= $last_batch
), placed AS (
  SELECT s.*, CAST(coalesce(epoch_us(s.ts), 0) AS HUGEINT) * 18446744073709551616 + CAST(coalesce(s.place, 0) AS HUGEINT) * 4294967296
              + CAST(s.id_hash >> 32 AS HUGEINT) AS k
  FROM said AS s
), retold AS (
  SELECT p.conversation_id, max(p.user_id) AS user_id, max(p.arm) AS arm,
         arg_min({'v': p.rollout_id}, p.k) FILTER (p.kind = 'exposure') AS of_rollout,
         arg_min({'v': p.eligible}, p.k) FILTER (p.kind = 'exposure') AS of_eligible,
         coalesce(arg_min({'v': p.release}, p.k) FILTER (p.kind = 'exposure')['v'],
                  arg_min({'v': p.release}, p.k) FILTER (p.kind = 'interaction')['v']) AS release,
         coalesce(arg_min({'v': p.intent}, p.k) FILTER (p.kind = 'exposure')['v'],
                  arg_min({'v': p.intent}, p.k) FILTER (p.kind = 'interaction')['v']) AS intent_first,
         min(p.ts) FILTER (p.kind = 'interaction') AS started_at, count(*) FILTER (p.kind = 'interaction') AS turns,
         min(p.ts) FILTER (p.kind = 'interaction' AND p.escalated) AS escalated_at, coalesce(bool_or(p.escalated), FALSE) AS escalated,
         arg_max({'v': p.resolved, 'at': p.ts}, p.k) FILTER (p.resolved IS NOT NULL) AS resolved,
         arg_max({'v': p.csat, 'at': p.ts}, p.k) FILTER (p.csat IS NOT NULL) AS csat
  FROM placed AS p GROUP BY p.conversation_id
), neighbours AS (
  SELECT r.conversation_id, r.user_id, r.started_at, TRUE AS retold FROM retold AS r WHERE r.user_id IS NOT NULL AND r.started_at IS NOT NULL
  UNION ALL
  SELECT c.conversation_id, c.user_id, c.started_at, FALSE AS retold FROM conversations AS c
  WHERE c.batch_id <= $last_batch AND c.started_at >= $before AND c.started_at < CAST($until AS TIMESTAMP) + INTERVAL 144 HOUR
    AND c.user_id IN (SELECT r.user_id FROM retold AS r)
), followed AS (
  SELECT n.conversation_id, n.retold, min(n.started_at) OVER (
    PARTITION BY n.user_id ORDER BY n.started_at RANGE BETWEEN INTERVAL 1 MICROSECOND FOLLOWING AND INTERVAL 72 HOUR FOLLOWING) AS returned_at
  FROM neighbours AS n
), everything AS (
  SELECT c.conversation_id, c.user_id, c.arm, c.release, c.rollout_id, c.eligible, c.intent_first, c.started_at, c.turns, c.escalated_at,
         coalesce(c.escalated, FALSE) AS escalated, c.resolved, c.resolved_at, c.csat, c.csat_at, c.returned_at
  FROM conversations AS c WHERE c.batch_id <= $last_batch AND c.started_at >= $before AND c.started_at < $until
  UNION ALL
  SELECT r.conversation_id, r.user_id, r.arm, r.release, r.of_rollout['v'] AS rollout_id, r.of_eligible['v'] AS eligible, r.intent_first, r.started_at, r.turns,
         r.escalated_at, r.escalated, r.resolved['v'] AS resolved, r.resolved['at'] AS resolved_at, r.csat['v'] AS csat, r.csat['at'] AS csat_at, f.returned_at
  FROM retold AS r LEFT JOIN followed AS f ON f.conversation_id = r.conversation_id AND f.retold
  WHERE r.started_at >= $before AND r.started_at < $until
), begun AS (
  SELECT d.begun_at, row_number() OVER (ORDER BY d.begun_at) AS number FROM (SELECT DISTINCT unnest(CAST($starts AS TIMESTAMP[])) AS begun_at) AS d
), staged AS MATERIALIZED (
  SELECT e.* EXCLUDE (user_id, eligible), hash(coalesce(e.user_id, e.conversation_id)) AS unit, e.user_id IS NOT NULL AS named, coalesce(e.eligible, TRUE) AS eligible,
         CASE WHEN e.started_at >= $since THEN 1 ELSE 0 END AS week, coalesce(b.number, 0) AS stratum
  FROM everything AS e ASOF LEFT JOIN begun AS b ON e.started_at >= b.begun_at
  WHERE e.arm IN ('assistant', 'baseline')
)
SELECT s.*, row_number() OVER (PARTITION BY s.unit, s.arm, s.eligible, s.week, s.stratum ORDER BY s.started_at, s.conversation_id) = 1 AS is_first
FROM staged AS s
