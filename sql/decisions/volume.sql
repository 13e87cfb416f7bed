-- how much there is: interactions and conversations
SELECT (SELECT count(*) FROM interactions) AS interactions, (SELECT count(*) FROM conversations) AS conversations
