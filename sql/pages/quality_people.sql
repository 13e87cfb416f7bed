-- pages: answers that each reviewer labelled in all and since $midnight (as the state writes times)
SELECT reviewer, count(DISTINCT o.item_id) AS labelled, count(DISTINCT CASE WHEN o.at >= $midnight THEN o.item_id END) AS today
FROM review_opinions AS o GROUP BY reviewer ORDER BY today DESC, labelled DESC, reviewer
