-- drop the five minutes with stale activity from the table of requests and dependencies; $since and $until bound the search in time
DELETE FROM rollup_service
WHERE slot >= time_bucket(INTERVAL 5 MINUTE, $since) AND slot <= $until
  AND slot IN (SELECT time_bucket(INTERVAL 5 MINUTE, minute) FROM rollup_stale WHERE family = 'activity')
