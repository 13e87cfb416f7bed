-- the earliest start among the candidates for lateness
SELECT min(started_at) AS earliest FROM late_candidates
