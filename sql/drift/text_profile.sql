-- drift: what the text of both_sides(is_reference, value VARCHAR, weight) could be, per side: rows, rows with text (words for "missing" apart), how many of them read as numbers, times, truth values
WITH marked AS (
  SELECT is_reference, weight, value,
    value <> '' AS written,
    TRY_CAST(value AS DOUBLE) AS number,
    CASE WHEN number IS NULL OR isnan(number) THEN lower(trim(value)) IN ('na', 'n/a', 'nan', 'null', 'none', '-', '?') ELSE false END AS blank_word,
    CASE WHEN number IS NULL THEN TRY_CAST(value AS TIMESTAMP) IS NOT NULL ELSE false END AS is_time
  FROM both_sides
)
SELECT
  is_reference,
  sum(weight) AS total,
  sum(weight) FILTER (WHERE written) AS written,
  sum(weight) FILTER (WHERE written AND NOT blank_word) AS present,
  sum(weight) FILTER (WHERE written AND NOT blank_word AND number IS NOT NULL) AS numbers,
  sum(weight) FILTER (WHERE written AND NOT blank_word AND is_time) AS times,
  sum(weight) FILTER (WHERE number IS NULL AND lower(trim(value)) IN ('true', 'false')) AS truths,
  sum(weight) FILTER (WHERE number IN (0, 1)) AS bits
FROM marked GROUP BY is_reference
