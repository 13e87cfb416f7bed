-- drop the model usage of the minutes with stale activity; $since and $until bound the search in time
DELETE FROM rollup_model
WHERE minute >= $since AND minute <= $until AND minute IN (SELECT minute FROM rollup_stale WHERE family = 'activity')
