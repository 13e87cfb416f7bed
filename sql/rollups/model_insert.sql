-- model usage per minute: requests that name the model, and the calls made to it with their tokens and cost
INSERT INTO rollup_model BY NAME
WITH used AS (
  SELECT ts, conversation_id, model, arm, release, 1 AS requests, 0 AS calls, 0 AS errors, 0 AS unpriced, 0 AS tokens_in, 0 AS tokens_cached, 0 AS tokens_out, 0.0 AS cost_usd
  FROM interactions WHERE ts >= $since AND ts < $until + INTERVAL 1 MINUTE AND model IS NOT NULL
  UNION ALL
  SELECT ts, conversation_id, coalesce(model, 'unknown') AS model, NULL AS arm, NULL AS release, 0 AS requests, 1 AS calls,
         CASE WHEN error_type IS NOT NULL OR timed_out THEN 1 ELSE 0 END AS errors, CASE WHEN cost_usd IS NULL THEN 1 ELSE 0 END AS unpriced,
         coalesce(tokens_in, 0) AS tokens_in, coalesce(tokens_cached, 0) AS tokens_cached, coalesce(tokens_out, 0) AS tokens_out, coalesce(cost_usd, 0.0) AS cost_usd
  FROM model_calls WHERE ts >= $since AND ts < $until + INTERVAL 1 MINUTE
)
SELECT date_trunc('minute', u.ts) AS minute, u.model, coalesce(c.arm, u.arm, 'unknown') AS arm, coalesce(c.release, u.release, 'unknown') AS release,
       CAST(sum(u.requests) AS BIGINT) AS requests, CAST(sum(u.calls) AS BIGINT) AS calls, CAST(sum(u.errors) AS BIGINT) AS errors,
       CAST(sum(u.unpriced) AS BIGINT) AS unpriced, CAST(sum(u.tokens_in) AS BIGINT) AS tokens_in, CAST(sum(u.tokens_cached) AS BIGINT) AS tokens_cached,
       CAST(sum(u.tokens_out) AS BIGINT) AS tokens_out, sum(u.cost_usd) AS cost_usd
FROM used AS u
LEFT JOIN conversations AS c
  ON c.conversation_id = u.conversation_id AND c.started_at >= $member_since AND c.started_at <= $member_until
 AND c.started_at >= u.ts - INTERVAL 2 DAY AND c.started_at <= u.ts + INTERVAL 1 HOUR
WHERE date_trunc('minute', u.ts) IN (SELECT minute FROM rollup_stale WHERE family = 'activity')
GROUP BY ALL
ORDER BY minute
