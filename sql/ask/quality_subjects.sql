-- ask: the intents that were ever predicted, named by a person or told by a log, for a reviewer to choose from
SELECT DISTINCT intent FROM (
  SELECT predicted AS intent FROM rollup_intent
  UNION ALL
  SELECT truth AS intent FROM rollup_intent WHERE basis <> 'none'
) AS seen
ORDER BY intent
