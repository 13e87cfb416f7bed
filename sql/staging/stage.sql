-- the slice's lines -> one row each with typed columns; `problem` where it is no record at all; `suspect` where validate.sql must look closer
-- Suspect is a cheap superset of bad, the same for all record types: a value that could not be read or lies outside its field's range, a text that may
-- be none, a required field that is missing, a time beyond $latest.
-- One wide decode serves all record types, because decoding is most of the cost. Numbers and flags are decoded as raw JSON text, so that "12" is not taken for 12.
CREATE OR REPLACE TEMP TABLE staged AS
WITH valid AS (
  SELECT row_id, line, raw_hash, CASE WHEN json_valid(text) THEN text END AS doc FROM incoming
), decoded AS (
  SELECT row_id, line, raw_hash, doc, hash(json_keys(doc)) AS shape, from_json(doc, '{
    "record": "VARCHAR", "interaction_id": "VARCHAR", "conversation_id": "VARCHAR", "turn": "JSON", "ts": "VARCHAR", "user_id": "VARCHAR",
    "segment": "VARCHAR", "region": "VARCHAR", "channel": "VARCHAR", "arm": "VARCHAR", "phase": "VARCHAR", "release": "VARCHAR",
    "model": "VARCHAR", "agent_version": "VARCHAR", "intent_pred": "VARCHAR", "intent_true": "VARCHAR", "intent_conf": "JSON",
    "latency_ms": "JSON", "tokens_in": "JSON", "tokens_cached": "JSON", "tokens_out": "JSON", "cost_usd": "JSON", "csat": "JSON",
    "escalated": "JSON", "escalation_reason": "VARCHAR", "resolved": "JSON", "error_type": "VARCHAR", "timed_out": "JSON",
    "safety_route": "VARCHAR", "workflow": "VARCHAR", "question": "VARCHAR", "answer": "VARCHAR", "sources": "JSON", "extra": "JSON",
    "exposure_id": "VARCHAR", "flag_key": "VARCHAR", "variant": "VARCHAR", "reason": "VARCHAR", "flag_version": "JSON",
    "rollout_id": "VARCHAR", "share": "JSON", "eligible": "JSON", "ineligible_reason": "VARCHAR", "intent_first": "VARCHAR",
    "call_id": "VARCHAR", "operation": "VARCHAR", "provider": "VARCHAR", "dependency": "VARCHAR",
    "run_id": "VARCHAR", "status": "VARCHAR", "idempotency_key": "VARCHAR", "slots": "JSON",
    "feedback_id": "VARCHAR", "comment": "VARCHAR",
    "evaluation_id": "VARCHAR", "name": "VARCHAR", "score": "JSON", "label": "VARCHAR", "evaluator": "VARCHAR", "sampling_rate": "JSON",
    "source": "VARCHAR"}') AS r
  FROM valid
), typed AS (
  SELECT row_id, line, raw_hash, doc, shape, r, CASE WHEN doc IS NOT NULL THEN coalesce(r.record, 'interaction') END AS kind,
    {'ts': as_time(r.ts), 'turn': as_number(r.turn), 'intent_conf': as_number(r.intent_conf), 'latency_ms': as_number(r.latency_ms),
     'tokens_in': as_number(r.tokens_in), 'tokens_cached': as_number(r.tokens_cached), 'tokens_out': as_number(r.tokens_out),
     'cost_usd': as_number(r.cost_usd), 'csat': as_number(r.csat), 'escalated': as_flag(r.escalated), 'resolved': as_flag(r.resolved),
     'timed_out': as_flag(r.timed_out), 'flag_version': as_number(r.flag_version), 'share': as_number(r.share),
     'eligible': as_flag(r.eligible), 'score': as_number(r.score), 'sampling_rate': as_number(r.sampling_rate)} AS t
  FROM decoded
)
SELECT row_id, line, raw_hash, shape, kind,
  id_number(CASE kind WHEN 'interaction' THEN r.interaction_id WHEN 'exposure' THEN r.exposure_id WHEN 'model_call' THEN r.call_id
    WHEN 'dependency_call' THEN r.call_id WHEN 'workflow_run' THEN r.run_id WHEN 'feedback' THEN r.feedback_id
    WHEN 'evaluation' THEN r.evaluation_id END) AS id_hash,
  id_number(r.conversation_id) AS conversation_hash,
  r.* EXCLUDE (record, ts, turn, intent_conf, latency_ms, tokens_in, tokens_cached, tokens_out, cost_usd, csat, escalated, resolved, timed_out,
    flag_version, share, eligible, score, sampling_rate, sources, extra, slots),
  CAST(r.sources AS VARCHAR) AS sources, CAST(r.extra AS VARCHAR) AS extra, CAST(r.slots AS VARCHAR) AS slots,
  t.ts, TRY_CAST(t.turn AS INTEGER) AS turn, t.intent_conf, t.latency_ms, as_count(t.tokens_in) AS tokens_in,
  as_count(t.tokens_cached) AS tokens_cached, as_count(t.tokens_out) AS tokens_out, t.cost_usd, t.csat, t.escalated, t.resolved, t.timed_out,
  as_count(t.flag_version) AS flag_version, t.share, t.eligible, t.score, t.sampling_rate,
  CASE WHEN kind IS NULL THEN 'not_json' ELSE CASE kind WHEN 'interaction' THEN NULL WHEN 'exposure' THEN NULL WHEN 'model_call' THEN NULL
    WHEN 'dependency_call' THEN NULL WHEN 'workflow_run' THEN NULL WHEN 'feedback' THEN NULL WHEN 'evaluation' THEN NULL WHEN 'heartbeat' THEN NULL
    ELSE 'unknown_record:record' END END AS problem,
  (t.ts IS NULL AND (kind <> 'interaction' OR r.ts IS NOT NULL)) OR t.ts < TIMESTAMP '2000-01-01' OR t.ts > $latest
  OR coalesce(r.interaction_id, r.exposure_id, r.call_id, r.run_id, r.feedback_id, r.evaluation_id, r.source, '') = ''
  OR (kind IN ('interaction', 'exposure', 'feedback') AND coalesce(r.conversation_id, '') = '')
  OR CASE kind WHEN 'interaction' THEN coalesce(r.interaction_id, '') = '' OR t.turn IS NULL OR r.arm NOT IN ('assistant', 'baseline')
    WHEN 'exposure' THEN coalesce(r.exposure_id, '') = '' OR coalesce(r.variant, '') NOT IN ('assistant', 'baseline')
    WHEN 'workflow_run' THEN coalesce(r.run_id, '') = '' OR coalesce(r.workflow, '') = ''
      OR coalesce(r.status, '') NOT IN ('started', 'completed', 'failed', 'refused', 'compensated')
    WHEN 'evaluation' THEN coalesce(r.evaluation_id, '') = '' OR coalesce(r.name, '') = ''
    WHEN 'feedback' THEN coalesce(r.feedback_id, '') = '' WHEN 'heartbeat' THEN coalesce(r.source, '') = '' ELSE coalesce(r.call_id, '') = '' END
  OR (r.turn IS NOT NULL AND (t.turn IS NULL OR NOT t.turn BETWEEN 0 AND 1000000000 OR t.turn <> trunc(t.turn)))
  OR (r.intent_conf IS NOT NULL AND (t.intent_conf IS NULL OR NOT t.intent_conf BETWEEN 0 AND 1))
  OR (r.latency_ms IS NOT NULL AND (t.latency_ms IS NULL OR NOT t.latency_ms BETWEEN 0 AND 1000000000))
  OR (r.tokens_in IS NOT NULL AND (t.tokens_in IS NULL OR NOT t.tokens_in BETWEEN 0 AND 1000000000 OR t.tokens_in <> trunc(t.tokens_in)))
  OR (r.tokens_cached IS NOT NULL AND (t.tokens_cached IS NULL OR NOT t.tokens_cached BETWEEN 0 AND 1000000000 OR t.tokens_cached <> trunc(t.tokens_cached)))
  OR (r.tokens_out IS NOT NULL AND (t.tokens_out IS NULL OR NOT t.tokens_out BETWEEN 0 AND 1000000000 OR t.tokens_out <> trunc(t.tokens_out)))
  OR (r.cost_usd IS NOT NULL AND (t.cost_usd IS NULL OR NOT t.cost_usd BETWEEN 0 AND 1000000))
  OR (r.csat IS NOT NULL AND (t.csat IS NULL OR NOT t.csat BETWEEN 1 AND 5))
  OR (r.escalated IS NOT NULL AND t.escalated IS NULL) OR (r.resolved IS NOT NULL AND t.resolved IS NULL)
  OR (r.timed_out IS NOT NULL AND t.timed_out IS NULL) OR (r.eligible IS NOT NULL AND t.eligible IS NULL)
  OR (r.flag_version IS NOT NULL AND (t.flag_version IS NULL OR NOT t.flag_version BETWEEN 0 AND 1000000000 OR t.flag_version <> trunc(t.flag_version)))
  OR (r.share IS NOT NULL AND (t.share IS NULL OR NOT t.share BETWEEN 0 AND 1))
  OR (r.score IS NOT NULL AND (t.score IS NULL OR NOT t.score BETWEEN 0 AND 1))
  OR (r.sampling_rate IS NOT NULL AND (t.sampling_rate IS NULL OR NOT t.sampling_rate BETWEEN 0 AND 1 OR t.sampling_rate = 0))
  OR NOT starts_with(CAST(r.extra AS VARCHAR), '{') OR NOT starts_with(CAST(r.slots AS VARCHAR), '{')
  OR regexp_matches(concat_ws(chr(31), r.interaction_id, r.conversation_id, r.user_id, r.segment, r.region, r.channel, r.arm, r.phase, r.release, r.model,
    r.agent_version, r.intent_pred, r.intent_true, r.escalation_reason, r.error_type, r.safety_route, r.workflow, left(r.question, 6), left(r.answer, 6),
    r.exposure_id, r.flag_key, r.variant, r.reason, r.rollout_id, r.ineligible_reason, r.intent_first, r.call_id, r.operation, r.provider, r.dependency, r.run_id, r.status,
    r.idempotency_key, r.feedback_id, left(r.comment, 6), r.evaluation_id, r.name, r.label, r.evaluator, r.source),
    '(^|\x1f)([\[{]|true(\x1f|$)|false(\x1f|$))') AS suspect
FROM typed;
