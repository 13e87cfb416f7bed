-- pages: how many silences hold back alerts at $now (text, UTC): added, begun, not expired, not ended before their time
SELECT count(*) AS n FROM silences AS added
WHERE added.event = 'added' AND added.starts_at <= $now AND added.expires_at > $now
  AND NOT EXISTS (FROM silences AS ended WHERE ended.event = 'ended' AND ended.silence_id = added.silence_id)
