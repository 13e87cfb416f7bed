-- drift: what the text of both_sides(is_reference, value VARCHAR, weight) could be, per side: rows, rows with text (words for "missing" apart), how many of them read as numbers, times, truth values
WITH marked AS (
  SELECT is_reference, weight, value,
    value <> '' AS written,
    lower(trim(value)) IN ('na', 'n/a', 'nan', 'null', 'none', '-', '?') AS blank_word,
    TRY_CAST(value AS DOUBLE) AS number
  FROM both_sides
)
SELECT
  is_reference,
  sum(weight) AS total,
  sum(weight) FILTER (WHERE written) AS written,
  sum(weight) FILTER (WHERE written AND NOT blank_word) AS present,
  sum(weight) FILTER (WHERE written AND NOT blank_word AND number IS NOT NULL) AS numbers,
  sum(weight) FILTER (WHERE written AND NOT blank_word AND number IS NULL AND TRY_CAST(value AS TIMESTAMP) IS NOT NULL) AS times,
  sum(weight) FILTER (WHERE lower(trim(value)) IN ('true', 'false')) AS truths,
  sum(weight) FILTER (WHERE number IN (0, 1)) AS bits
FROM marked GROUP BY is_reference
