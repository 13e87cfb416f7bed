-- pages: every registered release, newest first: what it is made of (JSON), by whom, how it was let in, and what became of it
WITH went AS (
  SELECT rollouts.release_hash, min(CAST(stages.started_at AS TIMESTAMP)) AS started_at, bool_or(stages.event = 'rollback') AS rolled_back,
         bool_or(rollouts.active) AS active, last(stages.phase ORDER BY stages.version) AS phase, last(stages.share ORDER BY stages.version) AS share,
         last(stages.state ORDER BY stages.version) AS state
  FROM rollouts JOIN stages ON stages.rollout_id = rollouts.rollout_id GROUP BY rollouts.release_hash
), agreed AS (
  SELECT release_hash, string_agg(DISTINCT approver, ', ' ORDER BY approver) AS approvers, count(*) AS approvals FROM approvals GROUP BY release_hash
)
SELECT releases.release, releases.release_hash, releases.artefacts, releases.author, CAST(releases.registered_at AS TIMESTAMP) AS registered_at,
       went.started_at, went.rolled_back, went.active, went.phase, went.share, went.state, agreed.approvers, coalesce(agreed.approvals, 0) AS approvals
FROM releases LEFT JOIN went ON went.release_hash = releases.release_hash LEFT JOIN agreed ON agreed.release_hash = releases.release_hash
ORDER BY registered_at DESC, releases.release
