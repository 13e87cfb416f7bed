-- drift: until when the facts tell anything: the newest time of an interaction, a rating or a judgement; of what came later nothing can be known, whatever the clock says
SELECT max(ts) AS known_until FROM (
  SELECT max(ts) AS ts FROM interactions UNION ALL SELECT max(ts) AS ts FROM feedback UNION ALL SELECT max(ts) AS ts FROM evaluations
) AS newest
