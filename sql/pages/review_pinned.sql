-- pages: the pinned weekly reviews in short, newest week and version first, with the hash that the audit log vouches for; their documents are read one at a time
SELECT a.artefact_id AS review_id, a.created_at, coalesce(a.summary ->> '$.week', regexp_replace(a.artefact_id, '-v[0-9]+$', '')) AS week,
       CAST(coalesce(a.summary ->> '$.version', regexp_extract(a.artefact_id, '([0-9]+)$', 1)) AS INTEGER) AS version,
       coalesce(a.summary ->> '$.corrects', '') AS corrects, coalesce(a.summary ->> '$.words.headline', '') AS headline,
       last(l.payload ->> '$.document_hash' ORDER BY l.seq) AS vouched
FROM artefacts AS a JOIN audit AS l ON l.event = 'review_pinned' AND l.subject = a.artefact_id
WHERE a.kind = 'review' GROUP BY ALL ORDER BY week DESC, version DESC
