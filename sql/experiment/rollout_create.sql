-- experiment: the units of a rollout with what became known of each within its maturity; NULL where it is not mature yet. Who was handed to a person was not resolved by the arm
CREATE OR REPLACE TEMP TABLE experiment_units AS
WITH outcome AS (
  SELECT u.conversation_id, u.arm, u.started_at, u.stage_key, e.share, coalesce(c.segment, '(missing)') AS segment, coalesce(c.intent_first, '(missing)') AS intent,
         coalesce(c.region, '(missing)') AS region, coalesce(c.channel, '(missing)') AS channel, c.escalated_at, c.returned_at, c.resolved, c.resolved_at, c.csat, c.csat_at
  FROM units AS u
  LEFT JOIN conversations AS c ON c.conversation_id = u.conversation_id
  LEFT JOIN (SELECT conversation_id, min_by(share, ts) AS share FROM exposures GROUP BY conversation_id) AS e ON e.conversation_id = u.conversation_id
  WHERE u.rollout_id = $rollout
  QUALIFY row_number() OVER (PARTITION BY u.conversation_id ORDER BY u.started_at, u.stage_key) = 1 -- one row a unit, whatever happens
)
SELECT conversation_id, arm, started_at, segment, intent, region, channel, stage_key,
       stage_key || coalesce(' at ' || CAST(round(100 * share, 4) AS VARCHAR) || ' %', '') AS stage,
       CASE WHEN started_at <= $as_of - $escalation_rate * INTERVAL 1 SECOND
            THEN coalesce(escalated_at <= started_at + $escalation_rate * INTERVAL 1 SECOND, FALSE) END AS escalation_rate,
       CASE WHEN started_at <= $as_of - $contact_rate * INTERVAL 1 SECOND
            THEN coalesce(returned_at <= started_at + $contact_rate * INTERVAL 1 SECOND, FALSE) END AS contact_rate,
       CASE WHEN started_at <= $as_of - $csat * INTERVAL 1 SECOND AND csat_at <= started_at + $csat * INTERVAL 1 SECOND THEN csat END AS csat,
       CASE WHEN started_at <= $as_of - $csat_response_rate * INTERVAL 1 SECOND
            THEN coalesce(csat_at <= started_at + $csat_response_rate * INTERVAL 1 SECOND AND csat IS NOT NULL, FALSE) END AS csat_response_rate,
       CASE WHEN started_at <= $as_of - $resolution_rate * INTERVAL 1 SECOND AND resolved_at <= started_at + $resolution_rate * INTERVAL 1 SECOND
            THEN resolved AND NOT coalesce(escalated_at <= started_at + $resolution_rate * INTERVAL 1 SECOND, FALSE) END AS resolution_rate,
       CASE WHEN started_at <= $as_of - $resolution_time * INTERVAL 1 SECOND AND resolved_at <= started_at + $resolution_time * INTERVAL 1 SECOND
                 AND resolved AND NOT coalesce(escalated_at <= started_at + $resolution_time * INTERVAL 1 SECOND, FALSE)
            THEN date_diff('millisecond', started_at, resolved_at) / 1000.0 END AS resolution_time
FROM outcome
