-- masked cells, one list a column
INSERT INTO masked
SELECT unnest(CAST($row_id AS BIGINT[])) AS row_id, unnest(CAST($question AS VARCHAR[])) AS question, unnest(CAST($answer AS VARCHAR[])) AS answer,
  unnest(CAST($comment AS VARCHAR[])) AS comment, unnest(CAST($escalation_reason AS VARCHAR[])) AS escalation_reason,
  unnest(CAST($sources AS VARCHAR[])) AS sources, unnest(CAST($extra AS VARCHAR[])) AS extra, unnest(CAST($slots AS VARCHAR[])) AS slots;
