-- drift: one row for a categorical column of both_sides(side, value VARCHAR): rows, rows with a value, distinct values, per side
SELECT
  count(*) FILTER (WHERE side = 'reference') AS reference_rows,
  count(*) FILTER (WHERE side = 'current') AS current_rows,
  count(value) FILTER (WHERE side = 'reference') AS reference_usable,
  count(value) FILTER (WHERE side = 'current') AS current_usable,
  count(DISTINCT value) FILTER (WHERE side = 'reference') AS reference_distinct,
  count(DISTINCT value) FILTER (WHERE side = 'current') AS current_distinct
FROM both_sides
