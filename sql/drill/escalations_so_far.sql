-- what a rule that pools everything would look at: conversations so far and escalations among them, per arm (treated first)
SELECT count(CASE WHEN arm = 'assistant' THEN 1 END) AS n_t, count(CASE WHEN arm = 'assistant' AND escalated_at IS NOT NULL THEN 1 END) AS x_t,
       count(CASE WHEN arm = 'baseline' THEN 1 END) AS n_c, count(CASE WHEN arm = 'baseline' AND escalated_at IS NOT NULL THEN 1 END) AS x_c
FROM conversations
