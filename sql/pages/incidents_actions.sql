-- pages: what is to be done after incidents, each with what became of it (outcome '' while it is open); the open ones first, by their day
WITH ended AS (
  SELECT action_id, outcome, evidence, actor AS closed_by, CAST("at" AS TIMESTAMP) AS closed_at FROM incident_actions WHERE event = 'closed'
)
SELECT begun.action_id, begun.incident_id, begun.kind, begun.text, begun.owner, CAST(begun.due_at AS TIMESTAMP) AS due_at,
       begun.actor AS opened_by, CAST(begun."at" AS TIMESTAMP) AS opened_at, coalesce(ended.outcome, '') AS outcome,
       coalesce(ended.evidence, '') AS evidence, ended.closed_by, ended.closed_at
FROM incident_actions AS begun LEFT JOIN ended ON ended.action_id = begun.action_id
WHERE begun.event = 'opened'
ORDER BY coalesce(ended.outcome, '') <> '', due_at NULLS LAST, begun.seq
