-- drift: one row per interaction of [$since, $until) with the inputs, outputs and operations that are watched; drift_vocabulary (see features_vocabulary.sql) holds what the reference [$reference_since, $reference_until) said
-- No content and no customer leaves the facts: of a question there is its length, its language and how far its words are from the reference's. ids and ts serve the timeline and are left out of the comparison.
-- Words come in any order from the threads, and a sum of doubles depends on it: they are summed as whole billionths, so the same rows give the same figures.
-- No workflow, no safety route and no error are values ("none"), not missing ones: a quiet hour has lost nothing.
-- A word of a row that is in the reference itself counts only if another conversation has it too (leave one out): else the reference would know all of its own words and every later window would seem to drift.
WITH chosen AS (
  SELECT i.rowid AS place, i.*, regexp_extract_all(lower(i.question), '[\p{L}\p{M}]{2,}') AS words,
         CASE WHEN i.ts >= $reference_since AND i.ts < $reference_until
               AND ($reference_arm IS NULL OR i.arm = $reference_arm) AND ($reference_release IS NULL OR i.release = $reference_release) THEN 1 ELSE 0 END AS own,
         CASE WHEN json_valid(i.extra) THEN i.extra END AS more, CASE WHEN json_valid(i.sources) THEN i.sources END AS found
  FROM interactions AS i
  WHERE i.ts >= $since AND i.ts < $until AND ($arm IS NULL OR i.arm = $arm) AND ($release IS NULL OR i.release = $release)
),
spoken AS (SELECT place, own, unnest(list_distinct(words)) AS word FROM chosen),
reference AS (
  SELECT any_value(conversations_all) AS n, sqrt(sum(CAST(round((ln((conversations_all + 1.0) / (conversations + 1.0)) + 1) ^ 2 * (conversations / conversations_all) ^ 2 * 1e12) AS BIGINT)) / 1e12) AS norm FROM drift_vocabulary
),
weighed AS (
  SELECT s.place, greatest(coalesce(v.conversations, 0) - s.own, 0) AS others, r.n, r.norm,
         ln((r.n + 1.0) / (greatest(coalesce(v.conversations, 0) - s.own, 0) + 1.0)) + 1 AS idf
  FROM spoken AS s CROSS JOIN reference AS r LEFT JOIN drift_vocabulary AS v ON v.word = s.word
  WHERE r.n IS NOT NULL
),
told AS (
  SELECT place, avg(CASE WHEN others = 0 THEN 1.0 ELSE 0.0 END) AS unknown_words, 1 - (sum(shared) / 1e9) / (sqrt(sum(own_square) / 1e9) * any_value(norm)) AS question_distance
  FROM (SELECT *, CAST(round(idf * idf * others / n * 1e9) AS BIGINT) AS shared, CAST(round(idf * idf * 1e9) AS BIGINT) AS own_square FROM weighed) AS whole GROUP BY place
),
scored AS (
  SELECT place, [len(list_intersect(words, ['the','is','my','to','and','of','in','it','for','you','that','do','how','what','can','have','was','not','with','this','are','why','did','need'])),
    len(list_intersect(words, ['der','die','das','und','ist','nicht','ich','ein','eine','zu','mit','auf','wie','meine','mein','kann','habe','wo','warum','für','wurde','bitte','den'])),
    len(list_intersect(words, ['le','la','les','des','est','et','je','ne','pas','un','une','mon','ma','pour','comment','pourquoi','vous','mes','sur','que','ai'])),
    len(list_intersect(words, ['el','la','los','las','es','no','mi','un','una','por','para','cómo','qué','que','puedo','tengo','mis','con','está','del'])),
    len(list_intersect(words, ['il','lo','gli','non','un','una','mio','mia','per','come','che','perché','ho','con','sono','della','di','posso'])),
    len(list_intersect(words, ['os','as','não','meu','minha','um','uma','por','para','como','que','eu','está','com','do','da'])),
    len(list_intersect(words, ['de','het','een','en','niet','ik','mijn','is','van','hoe','kan','heb','waarom','voor','met','op']))] AS hits
  FROM chosen
)
SELECT
  c.interaction_id, c.conversation_id, c.ts,
  c.intent_pred,
  c.intent_pred = 'out_of_scope' AS out_of_scope,
  c.intent_conf,
  length(c.question) AS question_length,
  CASE WHEN c.question IS NULL THEN NULL
       WHEN regexp_matches(c.question, '[\p{Hiragana}\p{Katakana}]') THEN 'ja' WHEN regexp_matches(c.question, '\p{Han}') THEN 'zh' WHEN regexp_matches(c.question, '\p{Hangul}') THEN 'ko'
       WHEN regexp_matches(c.question, '\p{Arabic}') THEN 'arabic script' WHEN regexp_matches(c.question, '\p{Cyrillic}') THEN 'cyrillic script' WHEN regexp_matches(c.question, '\p{Greek}') THEN 'el'
       WHEN regexp_matches(c.question, '\p{Hebrew}') THEN 'he' WHEN regexp_matches(c.question, '\p{Devanagari}') THEN 'devanagari script' WHEN regexp_matches(c.question, '\p{Thai}') THEN 'th'
       WHEN len(c.words) = 0 THEN 'no words'
       WHEN list_max(s.hits) = 0 OR len(list_filter(s.hits, lambda h: h = list_max(s.hits))) > 1 THEN 'undetermined'
       ELSE ['en','de','fr','es','it','pt','nl'][list_position(s.hits, list_max(s.hits))] END AS language,
  t.unknown_words,
  t.question_distance,
  length(c.answer) AS answer_length,
  json_extract_string(c.more, '$.kind') AS answer_kind,
  regexp_matches(lower(left(c.answer, 300)), '(cannot|can''t|can not|unable to|not able to|won''t be able to) (help|assist|answer|provide|do that|share|discuss)|as an ai|(don''t|do not) have (enough )?information') AS refusal,
  c.latency_ms,
  c.tokens_in,
  c.tokens_cached,
  c.tokens_out,
  c.cost_usd,
  coalesce(list_filter(json_transform(json_extract(c.more, '$.steps'), '[{"step":"VARCHAR","score":"DOUBLE"}]'), lambda step: step.step = 'retrieval')[1].score,
    list_max(list_transform(json_extract_string(c.found, '$[*].score'), lambda score: TRY_CAST(score AS DOUBLE)))) AS retrieval_score,
  CAST(json_array_length(c.found) AS INTEGER) AS sources,
  c.turn,
  c.arm,
  c.segment,
  c.region,
  c.channel,
  c.model,
  coalesce(c.workflow, 'none') AS workflow,
  coalesce(c.safety_route, 'none') AS safety_route,
  coalesce(c.error_type, 'none') AS error_type,
  c.timed_out
FROM chosen AS c LEFT JOIN told AS t USING (place) LEFT JOIN scored AS s USING (place)
ORDER BY c.ts, c.interaction_id
