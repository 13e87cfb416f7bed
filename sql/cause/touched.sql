-- cause: the same sums as cells.sql over the conversations that called a dependency, per dependency
SELECT u.arm AS arm, u.late AS late, 'dependency' AS dimension, k.dependency AS slice,
  count(COLUMNS('m_(.*)')) AS "n:\1", sum(COLUMNS('m_(.*)')) AS "x:\1", sum(COLUMNS('m_(.*)') * COLUMNS('m_(.*)')) AS "q:\1"
FROM cause_units AS u
JOIN (SELECT DISTINCT conversation_id, dependency FROM dependency_calls
      WHERE ts >= $since AND ts < CAST($until AS TIMESTAMP) + INTERVAL 1 HOUR AND dependency IS NOT NULL) AS k ON k.conversation_id = u.conversation_id
GROUP BY u.arm, u.late, k.dependency
