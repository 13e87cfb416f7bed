-- drop the safety counts of the hours that are stale in $family: 'conversation' holds what the screen saw, 'evaluation' what people judged; $since and $until bound the search
DELETE FROM rollup_safety
WHERE hour >= date_trunc('hour', $since) AND hour <= $until AND (basis = 'screen') = ($family = 'conversation')
  AND hour IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = $family)
