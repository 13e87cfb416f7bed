-- evaluations in which a person says that a conversation was misrouted, and that it was severe: few, found without looking at any other table
SELECT evaluation_id FROM evaluations
WHERE score >= $severe AND label = 'misrouted' AND name = 'safety_route' AND evaluator LIKE 'human:%'
