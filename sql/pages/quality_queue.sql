-- pages: how many drawn answers stand where (waiting, half, single, agreed, disagreed, adjudicated), as controlplane.core.review_queue.standing has it, and how many of them chance drew
WITH said AS (
  SELECT item_id, round, last(label ORDER BY seq) AS label, last(intent ORDER BY seq) AS intent, last(grounded ORDER BY seq) AS grounded
  FROM review_opinions GROUP BY item_id, round
), held AS (
  SELECT item_id, count(*) AS n,
         count(DISTINCT label) > 1 OR count(DISTINCT intent) > 1 OR count(DISTINCT grounded) > 1 AS differ
  FROM said GROUP BY item_id
)
SELECT CASE WHEN a.item_id IS NOT NULL THEN 'adjudicated' WHEN h.n IS NULL THEN 'waiting' WHEN h.n < i.wanted THEN 'half'
            WHEN h.n = 1 THEN 'single' WHEN h.differ THEN 'disagreed' ELSE 'agreed' END AS status,
       count(*) AS items, count(CASE WHEN contains(i.reasons, '"audit"') THEN 1 END) AS random
FROM review_items AS i
LEFT JOIN held AS h ON h.item_id = i.item_id
LEFT JOIN review_adjudications AS a ON a.item_id = i.item_id
GROUP BY ALL ORDER BY status
