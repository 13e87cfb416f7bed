-- experiment: one row about prepared(unit, arm, ...): rows, rows without a unit or an arm, rows that count, and their smallest and largest unit
SELECT
  count(*) AS all_rows,
  count(*) - count(unit) AS without_unit,
  count(unit) - count(CASE WHEN arm IS NOT NULL THEN unit END) AS without_arm,
  count(CASE WHEN arm IS NOT NULL THEN unit END) AS usable,
  min(CASE WHEN arm IS NOT NULL THEN unit END) AS first_unit,
  max(CASE WHEN arm IS NOT NULL THEN unit END) AS last_unit
FROM prepared
