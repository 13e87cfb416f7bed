-- pages: every registered policy with its text, oldest first, and the releases whose rollout is judged by it now or was when it ended
SELECT p.policy_hash, p.name, p.text, CAST(p.registered_at AS TIMESTAMP) AS registered_at,
       coalesce(list(DISTINCT r.release ORDER BY r.release) FILTER (WHERE r.release IS NOT NULL), []) AS releases, coalesce(bool_or(r.active), FALSE) AS in_force
FROM policies AS p LEFT JOIN rollouts AS r ON r.policy_hash = p.policy_hash
GROUP BY p.policy_hash, p.name, p.text, p.registered_at ORDER BY p.registered_at, p.policy_hash
