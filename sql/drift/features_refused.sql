-- drift: interactions that ingest refused, by the field that was wrong and why; placed by the time they name, else by when they were refused (a log with text where numbers were has no facts to compare)
WITH refused AS (
  SELECT field, reason, CASE WHEN json_valid(raw) THEN raw END AS record,
    coalesce(TRY_CAST(json_extract_string(CASE WHEN json_valid(raw) THEN raw END, '$.ts') AS TIMESTAMP), quarantined_at) AS ts
  FROM quarantine WHERE record = 'interaction' AND field IS NOT NULL
)
SELECT field, reason, count(*) AS refused FROM refused
WHERE ts >= $since AND ts < $until AND ($arm IS NULL OR json_extract_string(record, '$.arm') = $arm)
  AND ($release IS NULL OR json_extract_string(record, '$.release') = $release)
GROUP BY field, reason ORDER BY refused DESC, field, reason
