-- drift: one row per interaction of a window [$since, $until) with the inputs, outputs and operations that are watched for drift; no content and no customer leaves the facts
SELECT
  interactions.intent_pred,
  interactions.intent_conf,
  length(interactions.question) AS question_length,
  length(interactions.answer) AS answer_length,
  interactions.latency_ms,
  interactions.tokens_in,
  interactions.tokens_cached,
  interactions.tokens_out,
  interactions.cost_usd,
  interactions.turn,
  interactions.arm,
  interactions.segment,
  interactions.region,
  interactions.channel,
  interactions.model,
  interactions.workflow,
  interactions.safety_route,
  interactions.escalated,
  interactions.error_type,
  interactions.timed_out
FROM interactions
WHERE interactions.ts >= $since AND interactions.ts < $until AND ($arm IS NULL OR interactions.arm = $arm)
ORDER BY interactions.ts, interactions.interaction_id
