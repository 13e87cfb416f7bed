-- when the newest conversation with the assistant began
SELECT max(started_at) AS newest FROM conversations WHERE arm = 'assistant'
