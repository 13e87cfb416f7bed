-- whether a source counts as live, so that blocks wait for it
SELECT source FROM sources WHERE source = $source AND live
