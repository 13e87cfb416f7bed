-- experiment: how many units the rows of prepared(unit, arm, ...) with both are of
SELECT count(DISTINCT CASE WHEN arm IS NOT NULL THEN unit END) AS units FROM prepared
