-- drift: in how many conversations of the reference [$since, $until) each word of a question occurs; letters only, so amounts and numbers are no words
CREATE OR REPLACE TEMP TABLE drift_vocabulary AS
WITH spoken AS (
  SELECT conversation_id, unnest(regexp_extract_all(lower(question), '[\p{L}\p{M}]{2,}')) AS word FROM interactions
  WHERE ts >= $since AND ts < $until AND ($arm IS NULL OR arm = $arm) AND ($release IS NULL OR release = $release) AND question IS NOT NULL
)
SELECT word, count(DISTINCT conversation_id) AS conversations, (SELECT count(DISTINCT conversation_id) FROM spoken) AS conversations_all
FROM spoken GROUP BY word
