-- exposures to the assistant, after the containment and the clients' poll limit (naive UTC), of conversations whose first message is of a contained category
SELECT count(*) AS exposures FROM exposures
WHERE variant = 'assistant' AND ts > $deadline AND list_contains(CAST($categories AS VARCHAR[]), coalesce(intent_first, ''))
