-- 010 rollups: additive display rollups by minute, latency histograms by hour, model usage, and the units that decisions count
-- Every rollup row is a sum over facts, so any window, arm or segment is a sum of rows. `unknown` stands for a dimension nobody told.
CREATE TABLE rollup_minute (
  minute TIMESTAMP NOT NULL, arm VARCHAR NOT NULL, release VARCHAR NOT NULL, phase VARCHAR NOT NULL, segment VARCHAR NOT NULL, eligible BOOLEAN NOT NULL,
  family VARCHAR NOT NULL, metric VARCHAR NOT NULL, n BIGINT NOT NULL, x BIGINT NOT NULL, total DOUBLE NOT NULL, total_sq DOUBLE NOT NULL
);
-- bucket b holds latencies in (g^(b-1), g^b] ms with g = 1.01/0.99, so every quantile is within 1 % (DDSketch)
CREATE TABLE rollup_latency (
  hour TIMESTAMP NOT NULL, arm VARCHAR NOT NULL, release VARCHAR NOT NULL, segment VARCHAR NOT NULL, eligible BOOLEAN NOT NULL,
  bucket INTEGER NOT NULL, n BIGINT NOT NULL
);
CREATE TABLE rollup_model (
  minute TIMESTAMP NOT NULL, model VARCHAR NOT NULL, arm VARCHAR NOT NULL, release VARCHAR NOT NULL, requests BIGINT NOT NULL, calls BIGINT NOT NULL,
  errors BIGINT NOT NULL, unpriced BIGINT NOT NULL, tokens_in BIGINT NOT NULL, tokens_cached BIGINT NOT NULL, tokens_out BIGINT NOT NULL, cost_usd DOUBLE NOT NULL
);
-- one row per run of the rollup job, written in the transaction that clears the batches' touched minutes
CREATE TABLE rollup_runs (rolled_at TIMESTAMP NOT NULL, first_batch BIGINT NOT NULL, last_batch BIGINT NOT NULL, minutes BIGINT NOT NULL);

-- The units of the comparison, decided when their start block closes and never recomputed.
CREATE TABLE units (
  conversation_id VARCHAR NOT NULL, user_id VARCHAR NOT NULL, arm VARCHAR NOT NULL, rollout_id VARCHAR NOT NULL, release VARCHAR, stage_key VARCHAR NOT NULL,
  week DATE NOT NULL, started_at TIMESTAMP NOT NULL, block_start TIMESTAMP NOT NULL, segment VARCHAR
);
-- Why a conversation of a closed start block is no unit: repeat, late, no_user, no_arm, not_eligible, other_rollout, other_release, before_stage. No customer is named.
CREATE TABLE unit_exclusions (
  conversation_id VARCHAR NOT NULL, rollout_id VARCHAR NOT NULL, stage_key VARCHAR NOT NULL, arm VARCHAR, started_at TIMESTAMP NOT NULL,
  block_start TIMESTAMP NOT NULL, reason VARCHAR NOT NULL
);
-- The start blocks closed so far. `late` are late ones of earlier blocks found by this close; last_batch is the newest batch it saw.
CREATE TABLE unit_blocks (
  rollout_id VARCHAR NOT NULL, stage_key VARCHAR NOT NULL, block_start TIMESTAMP NOT NULL, block_end TIMESTAMP NOT NULL,
  counted BIGINT NOT NULL, repeats BIGINT NOT NULL, late BIGINT NOT NULL, ineligible BIGINT NOT NULL, last_batch BIGINT NOT NULL
);
-- How far each rollout's start blocks are closed, so that the next close need not look through them.
CREATE TABLE unit_progress (rollout_id VARCHAR NOT NULL, opened_at TIMESTAMP NOT NULL, closed_until TIMESTAMP NOT NULL, last_batch BIGINT NOT NULL);

CREATE VIEW rollup_hour AS
SELECT date_trunc('hour', minute) AS hour, arm, release, phase, segment, eligible, family, metric,
       CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq
FROM rollup_minute GROUP BY ALL;

CREATE VIEW rollup_day AS
SELECT CAST(date_trunc('day', minute) AS DATE) AS day, arm, release, phase, segment, eligible, family, metric,
       CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq
FROM rollup_minute GROUP BY ALL;

-- metric_window(since, until): sums of every metric per arm over any window; rate = x/n, mean = total/n
CREATE MACRO metric_window(since, until) AS TABLE
SELECT metric, arm, eligible, CAST(sum(n) AS BIGINT) AS n, CAST(sum(x) AS BIGINT) AS x, sum(total) AS total, sum(total_sq) AS total_sq,
       sum(x) / nullif(sum(n), 0) AS rate, sum(total) / nullif(sum(n), 0) AS mean
FROM rollup_minute WHERE minute >= since AND minute < until GROUP BY metric, arm, eligible;

-- latency_quantile(since, until, q): the q-quantile in ms per arm from whole hours, within 1 % of the exact one
CREATE MACRO latency_quantile(since, until, q) AS TABLE
WITH histogram AS (
  SELECT arm, bucket, sum(n) AS n FROM rollup_latency WHERE hour >= since AND hour < until GROUP BY arm, bucket
), ranked AS (
  SELECT arm, bucket, sum(n) OVER (PARTITION BY arm ORDER BY bucket) AS below, sum(n) OVER (PARTITION BY arm) AS n FROM histogram
)
SELECT arm, CAST(max(n) AS BIGINT) AS n, 2 * pow(1.01 / 0.99, min(bucket)) / (1.01 / 0.99 + 1) AS latency_ms
FROM ranked WHERE below >= greatest(1, ceil(q * n)) GROUP BY arm;

-- unit_summary: how many conversations each closed stage counted and why the others do not count
CREATE VIEW unit_summary AS
SELECT rollout_id, stage_key, arm, 'counted' AS reason, count(*) AS conversations FROM units GROUP BY rollout_id, stage_key, arm
UNION ALL
SELECT rollout_id, stage_key, coalesce(arm, 'unknown') AS arm, reason, count(*) AS conversations FROM unit_exclusions GROUP BY rollout_id, stage_key, coalesce(arm, 'unknown'), reason
UNION ALL
SELECT 'none' AS rollout_id, 'none' AS stage_key, coalesce(arm, 'unknown') AS arm, 'no_start' AS reason, count(*) AS conversations
FROM conversations WHERE started_at IS NULL GROUP BY coalesce(arm, 'unknown');

-- judgements: every countable judgement of an answer, as (metric, subject, hit); several of one subject are reduced by whoever counts.
-- groundedness counts only where a sampling rate says that the answer was drawn at random; true intents and safety routes only from people.
-- priority 0 outranks 1: a person's label outranks the true intent that came with the log.
CREATE VIEW judgements AS
SELECT CASE e.name WHEN 'groundedness' THEN 'hallucination_rate' WHEN 'intent_true' THEN 'misclassification_rate' ELSE 'misrouting_rate' END AS metric,
       i.interaction_id AS subject, i.conversation_id, i.ts AS answered_at, e.ts AS judged_at, e.evaluation_id AS judgement_id, 0 AS priority,
       CASE e.name WHEN 'groundedness' THEN CASE WHEN e.label = 'ungrounded' THEN 1 ELSE 0 END
                   WHEN 'intent_true' THEN CASE WHEN e.label <> i.intent_pred THEN 1 ELSE 0 END
                   ELSE CASE WHEN e.label = 'misrouted' THEN 1 ELSE 0 END END AS hit
FROM evaluations AS e JOIN interactions AS i ON i.interaction_id = e.interaction_id
WHERE (e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded') AND e.sampling_rate > 0)
   OR (e.name = 'intent_true' AND e.evaluator LIKE 'human:%' AND e.label IS NOT NULL AND i.intent_pred IS NOT NULL)
   OR (e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted'))
UNION ALL
SELECT CASE e.name WHEN 'groundedness' THEN 'hallucination_rate' ELSE 'misrouting_rate' END AS metric,
       c.conversation_id AS subject, c.conversation_id, c.started_at AS answered_at, e.ts AS judged_at, e.evaluation_id AS judgement_id, 0 AS priority,
       CASE WHEN e.label IN ('ungrounded', 'misrouted') THEN 1 ELSE 0 END AS hit
FROM evaluations AS e JOIN conversations AS c ON c.conversation_id = e.conversation_id
WHERE e.interaction_id IS NULL
  AND ((e.name = 'groundedness' AND e.label IN ('grounded', 'ungrounded') AND e.sampling_rate > 0)
    OR (e.name = 'safety_route' AND e.evaluator LIKE 'human:%' AND e.label IN ('ok', 'misrouted')))
UNION ALL
SELECT 'misclassification_rate' AS metric, interaction_id AS subject, conversation_id, ts AS answered_at, ts AS judged_at,
       interaction_id AS judgement_id, 1 AS priority, CASE WHEN intent_true <> intent_pred THEN 1 ELSE 0 END AS hit
FROM interactions WHERE intent_true IS NOT NULL AND intent_pred IS NOT NULL AND ts IS NOT NULL;
