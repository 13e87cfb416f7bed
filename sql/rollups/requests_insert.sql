-- request family: sums per minute of the turn; arm, release, phase and segment are those of the conversation, else the turn's own
INSERT INTO rollup_minute BY NAME
WITH counted AS (
  SELECT date_trunc('minute', i.ts) AS minute, coalesce(c.arm, i.arm, 'unknown') AS arm, coalesce(c.release, i.release, 'unknown') AS release,
         coalesce(c.phase, i.phase, 'unknown') AS phase, coalesce(c.segment, i.segment, 'unknown') AS segment, coalesce(c.eligible, TRUE) AS eligible,
         count(*) AS requests,
         count(i.latency_ms) AS timed, coalesce(sum(i.latency_ms), 0) AS latency, coalesce(sum(i.latency_ms * i.latency_ms), 0) AS latency_sq,
         count(i.timed_out) AS known, count(CASE WHEN i.timed_out THEN 1 END) AS timed_out,
         count(CASE WHEN i.error_type IS NOT NULL THEN 1 END) AS errors,
         count(i.tokens_in + i.tokens_out) AS measured,
         CAST(coalesce(sum(i.tokens_in + i.tokens_out), 0) AS DOUBLE) AS tokens,
         coalesce(sum(pow(i.tokens_in + i.tokens_out, 2)), 0) AS tokens_sq,
         count(CASE WHEN i.tokens_in + i.tokens_out > 0 THEN 1 END) AS billable,
         count(CASE WHEN i.tokens_in + i.tokens_out > 0 AND i.cost_usd IS NULL THEN 1 END) AS unpriced,
         CAST(coalesce(sum(CASE WHEN i.cost_usd IS NOT NULL THEN i.tokens_in + i.tokens_out END), 0) AS BIGINT) AS priced_tokens,
         coalesce(sum(CASE WHEN i.tokens_in + i.tokens_out IS NOT NULL THEN i.cost_usd END), 0) AS cost
  FROM interactions AS i
  LEFT JOIN conversations AS c
    ON c.conversation_id = i.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
   AND c.started_at >= i.ts - INTERVAL 2 DAY AND c.started_at <= i.ts + INTERVAL 1 HOUR
  WHERE i.ts >= $since AND i.ts < $until + INTERVAL 1 MINUTE
    AND date_trunc('minute', i.ts) IN (SELECT minute FROM rollup_stale WHERE family = 'activity')
  GROUP BY ALL
), sums AS (
  SELECT minute, arm, release, phase, segment, eligible, 'request_volume' AS metric, requests AS n, 0 AS x, 0.0 AS total, 0.0 AS total_sq FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'latency_mean', timed, 0, latency, latency_sq FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'timeout_rate', known, timed_out, 0.0, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'request_error_rate', requests, errors, 0.0, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'tokens_per_request', measured, 0, tokens, tokens_sq FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'cost_per_1k_tokens', priced_tokens, 0, cost, 0.0 FROM counted
  UNION ALL
  SELECT minute, arm, release, phase, segment, eligible, 'unpriced_share', billable, unpriced, 0.0, 0.0 FROM counted
)
SELECT minute, arm, release, phase, segment, eligible, 'activity' AS family, metric, n, x, total, total_sq FROM sums WHERE n > 0 OR total <> 0
ORDER BY minute
