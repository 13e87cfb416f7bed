-- how many conversations of the assistant's arm there are: the base of what it logs per conversation
SELECT count(*) AS conversations FROM conversations WHERE arm = 'assistant' AND started_at IS NOT NULL
