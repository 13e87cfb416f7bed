-- the numbered conversations with their outcomes; times in microseconds, $never where nothing happened
SELECT customer, treated, segment, intent, epoch_us(started_at) AS started, coalesce(epoch_us(last_at), epoch_us(started_at)) AS last,
       coalesce(epoch_us(escalated_at), $never) AS escalated, coalesce(epoch_us(returned_at), $never) AS returned,
       CASE WHEN resolved IS NULL THEN -1 WHEN resolved THEN 1 ELSE 0 END AS resolved, coalesce(epoch_us(resolved_at), $never) AS resolved_at,
       coalesce(rating, 0) AS rating, coalesce(epoch_us(csat_at), $never) AS rated
FROM backtest_conversations ORDER BY place
