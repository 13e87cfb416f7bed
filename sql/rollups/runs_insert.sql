-- remember the run: when, first and last batch, minutes recomputed
INSERT INTO rollup_runs (rolled_at, first_batch, last_batch, minutes) VALUES ($rolled_at, $first_batch, $last_batch, $minutes)
