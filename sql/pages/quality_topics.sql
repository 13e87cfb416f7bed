-- pages: the newest analysis of open questions
SELECT artefact_id, created_at, summary FROM artefacts WHERE kind = 'topics' ORDER BY created_at DESC LIMIT 1
