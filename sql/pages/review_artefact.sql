-- pages: the newest artefact of a kind: id, when, summary (JSON)
SELECT artefact_id, created_at, summary FROM artefacts WHERE kind = $kind ORDER BY created_at DESC, artefact_id DESC LIMIT 1
