-- pages: registered acceptance criteria, newest first, with the reason and the differences (JSON list of texts) that were recorded with a change
WITH told AS (
  SELECT json_extract_string(summary, '$.criteria_hash') AS criteria_hash, json_extract_string(summary, '$.reason') AS reason,
         CAST(json_extract(summary, '$.text') AS VARCHAR) AS differences
  FROM artefacts WHERE kind = 'criteria_change'
)
SELECT found.criteria_hash, found.name, found.owner, found.actor, CAST(found.registered_at AS TIMESTAMP) AS registered_at, found.datasets,
       any_value(told.reason) AS reason, any_value(told.differences) AS differences
FROM acceptance_criteria AS found LEFT JOIN told ON told.criteria_hash = found.criteria_hash
GROUP BY ALL ORDER BY registered_at DESC, found.criteria_hash
