-- drop the latency histograms of the hours with stale activity; $since and $until bound the search in time
DELETE FROM rollup_latency
WHERE hour >= date_trunc('hour', $since) AND hour <= $until
  AND hour IN (SELECT date_trunc('hour', minute) FROM rollup_stale WHERE family = 'activity')
