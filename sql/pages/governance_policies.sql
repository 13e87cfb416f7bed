-- pages: registered policies, newest first, with how many rollouts ran under each last
SELECT policies.policy_hash, policies.name, CAST(policies.registered_at AS TIMESTAMP) AS registered_at, count(rollouts.rollout_id) AS rollouts,
       coalesce(bool_or(rollouts.active), FALSE) AS in_force
FROM policies LEFT JOIN rollouts ON rollouts.policy_hash = policies.policy_hash
GROUP BY ALL ORDER BY registered_at DESC, policies.policy_hash
