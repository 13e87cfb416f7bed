-- pages: when the oldest conversation or request of the snapshot was counted (naive UTC); NULL without any
SELECT min(start) AS first FROM rollup
