-- ask: which arm a conversation was given, when, at which share and why, at most $most
SELECT ts, variant AS arm, reason, flag_version, release, phase, share, eligible, ineligible_reason
FROM exposures WHERE conversation_id = $conversation_id ORDER BY ts, exposure_id LIMIT $most
