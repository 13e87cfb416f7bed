-- ask: the newest answers of the assistant given in [$since, $until) whose groundedness a random draw had judged $label: question, answer, sources as stored (masked), by whom and how surely
WITH judged AS (
  SELECT e.interaction_id, max(e.ts) AS judged_at, arg_max(e.score, e.ts) AS score, arg_max(e.evaluator, e.ts) AS by
  FROM evaluations AS e
  WHERE e.name = 'groundedness' AND e.label = $label AND e.interaction_id IS NOT NULL AND e.ts >= $since AND NOT starts_with(e.evaluation_id, 'targeted:') AND e.sampling_rate > 0
  GROUP BY e.interaction_id
)
SELECT i.conversation_id, i.ts, c.release, i.question, i.answer, i.sources, j.score, j.by, count(*) OVER () AS among
FROM judged AS j
JOIN interactions AS i ON i.interaction_id = j.interaction_id AND i.ts >= $since AND i.ts < $until
JOIN conversations AS c ON c.conversation_id = i.conversation_id
WHERE c.arm = 'assistant' AND ($release = '' OR c.release = $release)
ORDER BY i.ts DESC, i.interaction_id
LIMIT $most
