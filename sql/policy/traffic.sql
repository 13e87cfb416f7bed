-- what the traffic of the last two weeks of data was like: units a minute, what was rated, called and audited, and what the control did (rates among matured units; where nothing is that old, among all)
WITH newest AS (SELECT max(started_at) AS until FROM conversations WHERE started_at IS NOT NULL),
recent AS (
  SELECT c.*, n.until, row_number() OVER (PARTITION BY coalesce(c.user_id, c.conversation_id), c.arm, date_trunc('week', c.started_at) ORDER BY c.started_at) AS place
  FROM conversations AS c, newest AS n
  WHERE c.started_at > n.until - INTERVAL 14 DAY AND coalesce(c.eligible, TRUE)
), unit AS (SELECT * FROM recent WHERE place = 1)
SELECT count(*) AS units,
       date_diff('second', min(started_at), max(started_at)) / 60.0 AS minutes,
       count(CASE WHEN csat IS NOT NULL THEN 1 END) / nullif(count(*), 0) AS rated_share,
       (SELECT count(*) FROM model_calls AS m, newest AS n WHERE m.ts > n.until - INTERVAL 14 DAY) / nullif(count(CASE WHEN arm = 'assistant' THEN 1 END), 0) AS calls,
       (SELECT count(DISTINCT j.conversation_id) FROM judgements AS j, newest AS n WHERE j.metric = 'misrouting_rate' AND j.answered_at > n.until - INTERVAL 14 DAY)
         / nullif(count(*), 0) AS audited_share,
       coalesce(avg(CASE WHEN arm = 'baseline' AND started_at <= until - INTERVAL 2 HOUR THEN CAST(coalesce(escalated_at <= started_at + INTERVAL 2 HOUR, FALSE) AS INTEGER) END),
         avg(CASE WHEN arm = 'baseline' THEN CAST(escalated_at IS NOT NULL AS INTEGER) END)) AS escalation_rate,
       coalesce(avg(CASE WHEN arm = 'baseline' AND started_at <= until - INTERVAL 72 HOUR THEN CAST(coalesce(returned_at <= started_at + INTERVAL 72 HOUR, FALSE) AS INTEGER) END),
         avg(CASE WHEN arm = 'baseline' THEN CAST(returned_at IS NOT NULL AS INTEGER) END)) AS contact_rate,
       count(CASE WHEN arm = 'baseline' AND CAST(floor(csat + 0.5) AS INTEGER) = 1 THEN 1 END) AS k1,
       count(CASE WHEN arm = 'baseline' AND CAST(floor(csat + 0.5) AS INTEGER) = 2 THEN 1 END) AS k2,
       count(CASE WHEN arm = 'baseline' AND CAST(floor(csat + 0.5) AS INTEGER) = 3 THEN 1 END) AS k3,
       count(CASE WHEN arm = 'baseline' AND CAST(floor(csat + 0.5) AS INTEGER) = 4 THEN 1 END) AS k4,
       count(CASE WHEN arm = 'baseline' AND CAST(floor(csat + 0.5) AS INTEGER) = 5 THEN 1 END) AS k5
FROM unit
