-- experiment: units(unit, arm, last_arm, ...) seen in more than one arm, and in more than one stratum
SELECT count(CASE WHEN arm <> last_arm THEN 1 END) AS in_two_arms, count(CASE WHEN stratum <> last_stratum THEN 1 END) AS in_two_strata FROM units
