-- the minutes of the judged answers are stale in the evaluation family
INSERT INTO rollup_stale
SELECT 'evaluation' AS family, date_trunc('minute', ts) AS minute FROM rollup_answered
EXCEPT
SELECT family, minute FROM rollup_stale
