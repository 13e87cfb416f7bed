-- pages: the columns of the stored drift analysis $artefact, one row each: verdict, score and threshold, p after Holm's correction, rows and missing values of both windows, onset
WITH chosen AS (SELECT CAST(summary AS JSON) AS summary FROM artefacts WHERE artefact_id = $artefact AND kind = 'drift'),
named AS (SELECT unnest(json_keys(summary, '$.columns')) AS name, json_extract(summary, '$.columns') AS columns FROM chosen),
one AS (SELECT name, json_extract(columns, '$."' || name || '"') AS told FROM named)
SELECT name AS "column", told ->> '$.kind' AS kind, told ->> '$.verdict' AS verdict, CAST(told ->> '$.score' AS DOUBLE) AS score, CAST(told ->> '$.threshold' AS DOUBLE) AS threshold,
       told ->> '$.method' AS method, CAST(told ->> '$.corrected_p' AS DOUBLE) AS corrected_p, CAST(told ->> '$.reference_rows' AS DOUBLE) AS reference_rows,
       CAST(told ->> '$.current_rows' AS DOUBLE) AS current_rows, CAST(told ->> '$.reference_missing' AS DOUBLE) AS reference_missing,
       CAST(told ->> '$.current_missing' AS DOUBLE) AS current_missing, CAST(told ->> '$.reference_mean' AS DOUBLE) AS reference_mean,
       CAST(told ->> '$.current_mean' AS DOUBLE) AS current_mean, told ->> '$.onset' AS onset, told ->> '$.reason' AS reason
FROM one ORDER BY name
