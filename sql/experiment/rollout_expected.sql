-- experiment: adds to experiment_units what the baseline would lead one to expect of each conversation (expected_METRIC), learnt from baseline conversations of the *other* half with the same first intent and segment
-- Cross-fitting: a unit's own outcome never goes into what is expected of it, so the arms stay comparable (Guo et al., NeurIPS 2021; the cells are those of post-stratification).
-- A cell of few conversations is drawn towards the mean of all: as if 20 average ones were in it.
CREATE OR REPLACE TEMP TABLE experiment_units AS
WITH halved AS (SELECT *, hash(conversation_id) % 2 AS half FROM experiment_units),
told AS (
  UNPIVOT (
    SELECT CAST(1 - half AS INTEGER) AS half, intent, segment, CAST(escalation_rate AS DOUBLE) AS escalation_rate, CAST(contact_rate AS DOUBLE) AS contact_rate, CAST(csat AS DOUBLE) AS csat,
           CAST(csat_response_rate AS DOUBLE) AS csat_response_rate, CAST(resolution_rate AS DOUBLE) AS resolution_rate, CAST(resolution_time AS DOUBLE) AS resolution_time
    FROM halved WHERE arm = 'baseline'
  ) ON escalation_rate, contact_rate, csat, csat_response_rate, resolution_rate, resolution_time INTO NAME metric VALUE y
),
cell AS (SELECT half, metric, intent, segment, count(*) AS n, fsum(y) AS total FROM told GROUP BY half, metric, intent, segment),
whole AS (SELECT half, metric, fsum(total) / sum(n) AS mean FROM cell GROUP BY half, metric),
place AS (SELECT DISTINCT CAST(half AS INTEGER) AS half, intent, segment FROM halved),
guess AS (
  SELECT p.half, p.intent, p.segment, w.metric, (coalesce(c.total, 0) + 20 * w.mean) / (coalesce(c.n, 0) + 20) AS expected
  FROM place AS p JOIN whole AS w ON w.half = p.half
  LEFT JOIN cell AS c ON c.half = p.half AND c.intent = p.intent AND c.segment = p.segment AND c.metric = w.metric
),
wide AS (
  SELECT half, intent, segment, max(expected) FILTER (WHERE metric = 'escalation_rate') AS expected_escalation_rate, max(expected) FILTER (WHERE metric = 'contact_rate') AS expected_contact_rate,
         max(expected) FILTER (WHERE metric = 'csat') AS expected_csat, max(expected) FILTER (WHERE metric = 'csat_response_rate') AS expected_csat_response_rate,
         max(expected) FILTER (WHERE metric = 'resolution_rate') AS expected_resolution_rate, max(expected) FILTER (WHERE metric = 'resolution_time') AS expected_resolution_time
  FROM guess GROUP BY half, intent, segment
)
SELECT h.* EXCLUDE (half), w.* EXCLUDE (half, intent, segment) FROM halved AS h LEFT JOIN wide AS w ON w.half = h.half AND w.intent = h.intent AND w.segment = h.segment
