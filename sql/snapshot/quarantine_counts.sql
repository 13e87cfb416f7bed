-- snapshot: quarantined records by reason; no record leaves the warehouse
SELECT reason, count(*) AS records, max(quarantined_at) AS last_at FROM quarantine GROUP BY reason ORDER BY records DESC, reason
