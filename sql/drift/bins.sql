-- drift: rows of each side in equal bins between `lowest` and `highest` of both_sides(is_reference, value DOUBLE, weight, lowest, highest, bins); a bin holds its lower edge, the last one both, edges as NumPy's linspace
WITH placed AS (
  SELECT *, (highest - lowest) / bins AS width FROM both_sides WHERE isfinite(value)
),
guessed AS (
  SELECT *, least(floor((value - lowest) / width), bins - 1) AS guess FROM placed
)
SELECT
  CAST(CASE
    WHEN value < guess * width + lowest THEN guess - 1
    WHEN guess < bins - 1 AND value >= (guess + 1) * width + lowest THEN guess + 1
    ELSE guess
  END AS UTINYINT) AS bin,
  is_reference,
  sum(weight) AS n
FROM guessed GROUP BY bin, is_reference
