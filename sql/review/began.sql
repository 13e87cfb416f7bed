-- review: how many conversations began in [$before, $until)
SELECT count(*) AS n FROM conversations AS c WHERE c.started_at >= $before AND c.started_at < $until
