-- pages: post-incident reports and what people said about causes (kinds incident_report and cause), newest first; the summary is JSON
SELECT artefact_id, kind, CAST(created_at AS TIMESTAMP) AS created_at, path, summary, json_extract_string(summary, '$.incident') AS incident_id
FROM artefacts WHERE kind IN ('incident_report', 'cause') ORDER BY created_at DESC, artefact_id DESC
