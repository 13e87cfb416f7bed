-- pages: the document (JSON) of one pinned weekly review
SELECT summary FROM artefacts WHERE kind = 'review' AND artefact_id = $review_id
