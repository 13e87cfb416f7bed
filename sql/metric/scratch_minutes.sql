-- every minute of [$since, $until) is to be counted, in every family
INSERT INTO rollup_stale
SELECT f.family, m.minute
FROM (SELECT unnest(['conversation', 'activity', 'evaluation']) AS family) AS f
CROSS JOIN (SELECT unnest(generate_series(CAST($since AS TIMESTAMP), CAST($until AS TIMESTAMP) - INTERVAL 1 MINUTE, INTERVAL 1 MINUTE)) AS minute) AS m
