-- pages: evaluation runs, newest first; lines is a JSON list with one object for each criterion
SELECT run_id, release, release_hash, criteria_hash, criteria_name, datasets, seed, code_version, actor, CAST(started_at AS TIMESTAMP) AS started_at,
       CAST(finished_at AS TIMESTAMP) AS finished_at, verdict, lines, compared_with
FROM evaluation_runs ORDER BY seq DESC
