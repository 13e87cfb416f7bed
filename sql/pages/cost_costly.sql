-- pages: first requests of the assistant with a known cost, and those dearer than the cap, as the trigger $trigger counted them in the blocks of [$since, $until)
SELECT CAST(coalesce(sum(n_t), 0) AS BIGINT) AS n, CAST(coalesce(sum(x_t), 0) AS BIGINT) AS x FROM readings
WHERE trigger = $trigger AND segment = 'all' AND block_start >= $since AND block_start < $until
