-- drift: first and last time of an arm's or a release's interactions (NULL: of all)
SELECT min(ts) AS first, max(ts) AS last FROM interactions WHERE ($arm IS NULL OR arm = $arm) AND ($release IS NULL OR release = $release)
