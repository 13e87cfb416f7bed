-- cause: units, sums and sums of squares of every measure of cause_units per arm and window, in total and per value of each slice (dimension: which slice; others of its columns are NULL)
SELECT arm, late, d_intent, d_channel, d_region, d_segment, d_model, d_cached,
  CASE WHEN grouping(d_intent) = 0 THEN 'intent' WHEN grouping(d_channel) = 0 THEN 'channel' WHEN grouping(d_region) = 0 THEN 'region'
       WHEN grouping(d_segment) = 0 THEN 'segment' WHEN grouping(d_model) = 0 THEN 'model' WHEN grouping(d_cached) = 0 THEN 'cache' ELSE '' END AS dimension,
  coalesce(d_intent, d_channel, d_region, d_segment, d_model, d_cached) AS slice,
  count(COLUMNS('m_(.*)')) AS "n:\1", sum(COLUMNS('m_(.*)')) AS "x:\1", sum(COLUMNS('m_(.*)') * COLUMNS('m_(.*)')) AS "q:\1"
FROM cause_units
GROUP BY GROUPING SETS ((arm, late), (arm, late, d_intent), (arm, late, d_channel), (arm, late, d_region), (arm, late, d_segment), (arm, late, d_model), (arm, late, d_cached))
