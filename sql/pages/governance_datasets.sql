-- pages: versions of the evaluation data sets, newest first, with how many rows each added to the version before it
SELECT now.name, now.version, now.rows, now.rows - coalesce(before.rows, 0) AS added, now.origin, now.actor, CAST(now.created_at AS TIMESTAMP) AS created_at, now.summary
FROM dataset_versions AS now LEFT JOIN dataset_versions AS before ON before.name = now.name AND before.version = now.parent
ORDER BY now.seq DESC
