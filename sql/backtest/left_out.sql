-- conversations that a backtest leaves out, and why
SELECT CASE WHEN started_at IS NULL THEN 'no start' WHEN NOT (coalesce(eligible, TRUE) OR coalesce(ineligible_reason IN ('not_employee', 'not_low_risk'), FALSE)) THEN 'not eligible' ELSE 'other arm' END AS reason, count(*) AS conversations
FROM conversations
WHERE started_at IS NULL OR NOT (coalesce(eligible, TRUE) OR coalesce(ineligible_reason IN ('not_employee', 'not_low_risk'), FALSE))
   OR NOT CASE $member_of WHEN 'all' THEN TRUE WHEN 'baseline' THEN coalesce(arm, 'baseline') = 'baseline' ELSE arm = $member_of END
GROUP BY reason ORDER BY reason
