-- drop the intents of the hours with stale judgements or answers; $since and $until bound the search in time
DELETE FROM rollup_intent
WHERE hour >= date_trunc('hour', $since) AND hour <= $until
  AND hour IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'evaluation')
