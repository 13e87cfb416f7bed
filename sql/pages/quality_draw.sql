-- pages: the newest draw of answers for review: when, how many answers it drew from, its settings
SELECT draw_id, drawn_at, until, frame, design FROM review_draws ORDER BY seq DESC LIMIT 1
