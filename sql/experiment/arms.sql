-- experiment: units of each arm of units(unit, arm, ...), in the order of their names
SELECT arm, count(*) AS units FROM units GROUP BY arm ORDER BY arm
