-- experiment: one row about prepared(unit, arm, ...): rows, rows without a unit or an arm, rows that count, and how many units they are of
SELECT
  count(*) AS all_rows,
  count(*) - count(unit) AS without_unit,
  count(unit) - count(CASE WHEN arm IS NOT NULL THEN unit END) AS without_arm,
  count(CASE WHEN arm IS NOT NULL THEN unit END) AS usable,
  count(DISTINCT CASE WHEN arm IS NOT NULL THEN unit END) AS units
FROM prepared
