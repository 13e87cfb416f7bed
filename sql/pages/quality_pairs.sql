-- pages: of answers that two people labelled, how often which label met which (the newest of each person)
WITH said AS (
  SELECT item_id, round, last(label ORDER BY seq) AS label FROM review_opinions GROUP BY item_id, round
)
SELECT one.label AS first, two.label AS second, count(*) AS n
FROM said AS one JOIN said AS two ON two.item_id = one.item_id AND one.round = 1 AND two.round = 2
GROUP BY ALL ORDER BY first, second
