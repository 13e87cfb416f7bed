-- experiment: leaves the units of one stage only
DELETE FROM experiment_units WHERE stage_key <> $stage
