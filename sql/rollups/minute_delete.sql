-- drop the stale minutes of one family; $since and $until bound the search in time
DELETE FROM rollup_minute
WHERE minute >= $since AND minute <= $until AND family = $family
  AND minute IN (SELECT minute FROM rollup_stale WHERE family = $family)
