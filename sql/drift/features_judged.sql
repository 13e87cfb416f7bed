-- drift: one row per judged answer of [$since, $until): whether its intent was wrong and whether it was ungrounded (NULL: not judged for that), the judge's score, and whether its labels are final at $now (maturity in µs)
WITH preferred AS (
  SELECT metric, subject, any_value(conversation_id) AS conversation_id, any_value(answered_at) AS ts, arg_min(hit, (priority, judged_at, judgement_id)) AS hit
  FROM judgements WHERE metric IN ('misclassification_rate', 'hallucination_rate') AND answered_at >= $since AND answered_at < $until AND judged_at <= $now
  GROUP BY metric, subject
),
scores AS (
  SELECT interaction_id AS subject, arg_max(score, (ts, evaluation_id)) AS score FROM evaluations
  WHERE name = 'groundedness' AND score IS NOT NULL AND interaction_id IS NOT NULL AND ts >= $since - INTERVAL 1 DAY AND ts <= $now GROUP BY interaction_id
),
placed AS (
  SELECT p.*, c.arm, c.release FROM preferred AS p JOIN conversations AS c ON c.conversation_id = p.conversation_id
)
SELECT p.conversation_id, p.ts, p.metric,
  CASE WHEN p.metric = 'misclassification_rate' THEN p.ts <= $now - to_microseconds($misclassification_us) ELSE p.ts <= $now - to_microseconds($hallucination_us) END AS mature,
  p.hit = 1 AS hit, CASE WHEN p.metric = 'hallucination_rate' THEN s.score END AS score
FROM placed AS p LEFT JOIN scores AS s ON s.subject = p.subject
WHERE ($arm IS NULL OR p.arm = $arm) AND ($release IS NULL OR p.release = $release)
ORDER BY p.ts, p.subject
