-- what a rule on incoming ratings would look at: ratings that came since $since and the unhappy ones (1 or 2) among them, per arm (treated first)
SELECT count(CASE WHEN arm = 'assistant' THEN 1 END) AS n_t, count(CASE WHEN arm = 'assistant' AND csat <= 2 THEN 1 END) AS x_t,
       count(CASE WHEN arm = 'baseline' THEN 1 END) AS n_c, count(CASE WHEN arm = 'baseline' AND csat <= 2 THEN 1 END) AS x_c
FROM conversations WHERE csat_at > $since
