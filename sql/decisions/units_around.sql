-- counted customers of one arm in one stage: before a moment, and from it until another
SELECT count(*) FILTER (WHERE started_at < $since) AS before_it, count(*) FILTER (WHERE started_at >= $since AND started_at < $until) AS behind_it
FROM units WHERE stage_key = $stage_key AND arm = $arm
