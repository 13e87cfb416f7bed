-- experiment: the newest sign of any conversation (naive UTC): what is known is known until then
SELECT max(greatest(coalesce(last_at, started_at), coalesce(csat_at, started_at), coalesce(resolved_at, started_at))) AS newest FROM conversations
