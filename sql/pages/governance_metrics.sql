-- pages: registered versions of the metric definitions, newest first; changes is a JSON list
SELECT CAST(json_extract_string(summary, '$.version') AS INTEGER) AS version, json_extract_string(summary, '$.actor') AS actor,
       json_extract_string(summary, '$.reason') AS reason, CAST(json_extract_string(summary, '$.registered_at') AS TIMESTAMP) AS registered_at,
       json_extract_string(summary, '$.catalogue_hash') AS catalogue_hash, CAST(json_extract(summary, '$.changes') AS VARCHAR) AS changes,
       len(json_keys(summary, '$.definitions')) AS metrics
FROM artefacts WHERE kind = 'metric_definitions' ORDER BY version DESC
