-- what people said about the failed conversations of a span: their true intent, whether the answer was grounded, and whether it had to reach a person
SELECT
  e.conversation_id AS conversation_id,
  max(CASE WHEN e.name = 'intent_true' THEN e.label END) AS intent_true,
  max(CASE WHEN e.name = 'safety_route' THEN e.label END) AS safety_route,
  max(CASE WHEN e.name = 'groundedness' THEN e.label END) AS groundedness,
  max(e.evaluator) AS evaluator
FROM evaluations AS e
WHERE e.ts >= $since AND starts_with(e.evaluator, 'human:')
GROUP BY e.conversation_id
