-- every countable judgement of the numbered conversations, in the order in which one of several is preferred: for safety the worst, else people first, then the earliest
SELECT c.place, epoch_us(j.answered_at) AS answered, epoch_us(j.judged_at) AS judged, dense_rank() OVER (ORDER BY j.subject) - 1 AS subject,
       CAST(j.hit AS INTEGER) AS hit, CASE WHEN j.by_person THEN 1 ELSE 0 END AS person
FROM judgements AS j
JOIN backtest_conversations AS c ON c.conversation_id = j.conversation_id
                                AND c.started_at >= j.answered_at - INTERVAL 2 DAY AND c.started_at <= j.answered_at + INTERVAL 1 HOUR
WHERE j.metric = $metric AND j.judged_at >= j.answered_at - INTERVAL 1 DAY
ORDER BY subject, CASE WHEN j.metric = 'misrouting_rate' THEN -j.hit ELSE 0 END, j.priority, j.judged_at, j.judgement_id
