-- pages: the named reference windows, the newest version of each name
SELECT name, CAST(max(version) AS INTEGER) AS version FROM (
  SELECT CAST(summary AS JSON) ->> '$.name' AS name, CAST(CAST(summary AS JSON) ->> '$.version' AS INTEGER) AS version FROM artefacts WHERE kind = 'drift_reference'
) AS kept GROUP BY name ORDER BY name
