-- the conversations that a ramp may compare, numbered in the order in which units are decided; $member_of: baseline (also rows without an arm), assistant or all
-- Who was kept out only by the audience of a stage (not_employee, not_low_risk) is in: the ramp of the backtest decides that anew.
CREATE OR REPLACE TEMP TABLE backtest_conversations AS
SELECT row_number() OVER (ORDER BY started_at, conversation_id) - 1 AS place,
       CASE WHEN user_id IS NULL OR user_id = '' THEN -1 ELSE dense_rank() OVER (ORDER BY nullif(user_id, '') NULLS LAST) - 1 END AS customer,
       conversation_id, CASE WHEN arm = 'assistant' THEN 1 ELSE 0 END AS treated, coalesce(segment, '') AS segment, coalesce(intent_first, '') AS intent, started_at, last_at,
       escalated_at, returned_at, resolved, resolved_at, CAST(floor(csat + 0.5) AS INTEGER) AS rating, csat_at
FROM conversations
WHERE started_at IS NOT NULL AND (coalesce(eligible, TRUE) OR ineligible_reason IN ('not_employee', 'not_low_risk'))
  AND CASE $member_of WHEN 'all' THEN TRUE WHEN 'baseline' THEN coalesce(arm, 'baseline') = 'baseline' ELSE arm = $member_of END
