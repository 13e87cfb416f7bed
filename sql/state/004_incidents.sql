-- schema 4 of the state: incidents know their owner, their clocks and what contained them; a message of the outbox knows the route it goes by
ALTER TABLE incidents ADD COLUMN owner VARCHAR NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN acknowledged_at VARCHAR;
ALTER TABLE incidents ADD COLUMN reviewed_at VARCHAR;
ALTER TABLE incidents ADD COLUMN serious TEXT NOT NULL DEFAULT '{}';
ALTER TABLE incidents ADD COLUMN containments TEXT NOT NULL DEFAULT '[]';
ALTER TABLE outbox ADD COLUMN route VARCHAR NOT NULL DEFAULT '';
CREATE INDEX IF NOT EXISTS outbox_open ON outbox (status, next_attempt_at);
CREATE INDEX IF NOT EXISTS outbox_incident ON outbox (incident_id, created_at);
