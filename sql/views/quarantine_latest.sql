-- the newest refused rows: where, why
SELECT path, line, reason, field, detail, raw FROM quarantine ORDER BY quarantined_at DESC, path, line LIMIT 1000
