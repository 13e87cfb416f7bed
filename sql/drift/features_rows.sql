-- drift: interactions of a window [$since, $until), of an arm and a release or of all (NULL)
SELECT count(*) AS interactions FROM interactions
WHERE ts >= $since AND ts < $until AND ($arm IS NULL OR arm = $arm) AND ($release IS NULL OR release = $release)
