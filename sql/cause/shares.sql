-- cause: conversations of cause_units per value of each watched column, arm and window, and when the value was first and last served; no reason, no route and no workflow are values ("none")
WITH told AS (
  SELECT arm, late, started_at, unnest([
    {'name': 'intent', 'said': d_intent}, {'name': 'channel', 'said': d_channel}, {'name': 'region', 'said': d_region}, {'name': 'segment', 'said': d_segment},
    {'name': 'release', 'said': c_release}, {'name': 'agent_version', 'said': c_agent_version}, {'name': 'model', 'said': c_model}, {'name': 'cache', 'said': d_cached},
    {'name': 'predicted', 'said': c_predicted},
    {'name': 'reason', 'said': CASE WHEN turns > 0 THEN coalesce(c_reason, 'none') END},
    {'name': 'route', 'said': CASE WHEN turns > 0 THEN coalesce(c_route, 'none') END},
    {'name': 'workflow', 'said': CASE WHEN turns > 0 THEN coalesce(c_workflow, 'none') END}]) AS one
  FROM cause_units
), cited AS (
  SELECT arm, late, started_at, 'source' AS name, unnest(TRY_CAST(c_sources AS VARCHAR[])) AS said FROM cause_units WHERE c_sources IS NOT NULL
), made AS (
  SELECT arm, late, started_at, c_artefacts, unnest(json_keys(c_artefacts)) AS artefact FROM cause_units WHERE json_type(c_artefacts) = 'OBJECT'
), together AS (
  SELECT arm, late, started_at, one.name AS name, one.said AS said FROM told
  UNION ALL SELECT arm, late, started_at, name, said FROM cited
  UNION ALL SELECT arm, late, started_at, 'artefact:' || artefact AS name, json_extract_string(c_artefacts, '$."' || artefact || '"') AS said FROM made
)
SELECT name, said, arm, late, count(*) AS n, min(started_at) AS first_seen, max(started_at) AS last_seen
FROM together WHERE said IS NOT NULL
GROUP BY name, said, arm, late
ORDER BY name, said, arm, late
