-- pages: the audit log as far as the snapshot has it (its newest rows), every column as it was hashed, oldest first
SELECT seq, "at", actor, event, subject, reason, payload, policy_hash, prev_hash, hash FROM audit ORDER BY seq
