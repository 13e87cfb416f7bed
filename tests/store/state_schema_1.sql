-- a state database of schema 1 with one rollout, as the program of that time left it
BEGIN TRANSACTION;
CREATE TABLE acceptance_criteria (
	seq INTEGER NOT NULL, 
	criteria_hash VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	datasets TEXT NOT NULL, 
	actor VARCHAR NOT NULL, 
	registered_at VARCHAR NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (criteria_hash)
);
CREATE TABLE approvals (
	approval_id VARCHAR NOT NULL, 
	rollout_id VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	stage INTEGER NOT NULL, 
	release_hash VARCHAR NOT NULL, 
	approver VARCHAR NOT NULL, 
	note TEXT NOT NULL, 
	approved_at VARCHAR NOT NULL, 
	PRIMARY KEY (approval_id)
);
CREATE TABLE artefacts (
	artefact_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	summary TEXT NOT NULL, 
	PRIMARY KEY (artefact_id)
);
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	event VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	payload TEXT NOT NULL, 
	policy_hash VARCHAR NOT NULL, 
	prev_hash VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (prev_hash)
);
INSERT INTO "audit" VALUES(1,'2026-01-05T09:00:00.000000Z','ana','start','r-v1','begin','{}','9096efb25d49b65af3b4a00424aa90179fc8a5a2d41befd9845fa0896579b6c5','0000000000000000000000000000000000000000000000000000000000000000','93ce6895f74e44d6277091c8fc59b49c6c63243ba5e7c4946fa3c9b371615566');
CREATE TABLE dataset_versions (
	seq INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	rows INTEGER NOT NULL, 
	parent VARCHAR, 
	origin TEXT NOT NULL, 
	actor VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	summary TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
CREATE TABLE detectors (
	rollout_id VARCHAR NOT NULL, 
	lane VARCHAR NOT NULL, 
	closed_until VARCHAR NOT NULL, 
	state TEXT NOT NULL, 
	PRIMARY KEY (rollout_id, lane)
);
CREATE TABLE evaluation_runs (
	seq INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	release VARCHAR NOT NULL, 
	release_hash VARCHAR NOT NULL, 
	artefacts TEXT NOT NULL, 
	criteria_hash VARCHAR NOT NULL, 
	criteria_name VARCHAR NOT NULL, 
	datasets TEXT NOT NULL, 
	seed INTEGER NOT NULL, 
	code_version VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	started_at VARCHAR NOT NULL, 
	finished_at VARCHAR, 
	verdict VARCHAR, 
	result TEXT, 
	result_hash VARCHAR, 
	outcomes_hash VARCHAR, 
	PRIMARY KEY (seq), 
	UNIQUE (run_id)
);
CREATE TABLE incidents (
	incident_id VARCHAR NOT NULL, 
	rollout_id VARCHAR NOT NULL, 
	release VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	severity VARCHAR NOT NULL, 
	title TEXT NOT NULL, 
	"trigger" VARCHAR NOT NULL, 
	onset_at VARCHAR, 
	detected_at VARCHAR NOT NULL, 
	cut_at VARCHAR, 
	verified_at VARCHAR, 
	alerted_at VARCHAR, 
	resolved_at VARCHAR, 
	customers_exposed INTEGER, 
	evidence TEXT NOT NULL, 
	timeline TEXT NOT NULL, 
	PRIMARY KEY (incident_id)
);
CREATE TABLE leases (
	name VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	token INTEGER NOT NULL, 
	lease_until VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE ledger (
	seq INTEGER NOT NULL, 
	rollout_id VARCHAR NOT NULL, 
	policy_hash VARCHAR NOT NULL, 
	block_key VARCHAR NOT NULL, 
	lane VARCHAR NOT NULL, 
	block_start VARCHAR NOT NULL, 
	span_seconds INTEGER NOT NULL, 
	last_batch INTEGER NOT NULL, 
	closed_at VARCHAR NOT NULL, 
	counts TEXT NOT NULL, 
	readings TEXT NOT NULL, 
	prev_hash VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (rollout_id, policy_hash, block_key), 
	UNIQUE (prev_hash)
);
CREATE TABLE outbox (
	outbox_id VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	incident_id VARCHAR, 
	payload TEXT NOT NULL, 
	status VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at VARCHAR NOT NULL, 
	receiver VARCHAR, 
	receipt TEXT, 
	sent_at VARCHAR, 
	error TEXT, 
	PRIMARY KEY (outbox_id)
);
CREATE TABLE policies (
	policy_hash VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	registered_at VARCHAR NOT NULL, 
	PRIMARY KEY (policy_hash)
);
CREATE TABLE releases (
	release_hash VARCHAR NOT NULL, 
	release VARCHAR NOT NULL, 
	artefacts TEXT NOT NULL, 
	author VARCHAR NOT NULL, 
	registered_at VARCHAR NOT NULL, 
	PRIMARY KEY (release_hash)
);
INSERT INTO "releases" VALUES('h-v1','v1','{"model":"m"}','ben','2026-01-05T09:00:00.000000Z');
CREATE TABLE review_labels (
	seq INTEGER NOT NULL, 
	interaction_id VARCHAR NOT NULL, 
	rollout_id VARCHAR NOT NULL, 
	stage_version INTEGER NOT NULL, 
	label VARCHAR NOT NULL, 
	note TEXT NOT NULL, 
	reviewer VARCHAR NOT NULL, 
	labelled_at VARCHAR NOT NULL, 
	PRIMARY KEY (seq)
);
CREATE TABLE rollouts (
	rollout_id VARCHAR NOT NULL, 
	release VARCHAR NOT NULL, 
	release_hash VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	stage INTEGER NOT NULL, 
	share FLOAT NOT NULL, 
	execution_enabled BOOLEAN NOT NULL, 
	policy_hash VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	updated_at VARCHAR NOT NULL, 
	stage_started_at VARCHAR NOT NULL, 
	reason TEXT NOT NULL, 
	active BOOLEAN NOT NULL, 
	cut_verified_at VARCHAR, 
	PRIMARY KEY (rollout_id)
);
INSERT INTO "rollouts" VALUES('r-v1','v1','h-v1','RUNNING','internal',0,1.0,1,'9096efb25d49b65af3b4a00424aa90179fc8a5a2d41befd9845fa0896579b6c5',1,'2026-01-05T09:00:00.000000Z','2026-01-05T09:00:00.000000Z','begin',1,NULL);
CREATE TABLE runs (
	job VARCHAR NOT NULL, 
	slot VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	lease_until VARCHAR NOT NULL, 
	done_at VARCHAR, 
	result TEXT, 
	PRIMARY KEY (job, slot)
);
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	applied_at VARCHAR NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1,'2026-01-05T09:00:00.000000Z');
CREATE TABLE stages (
	seq INTEGER NOT NULL, 
	rollout_id VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	release VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	phase VARCHAR NOT NULL, 
	stage INTEGER NOT NULL, 
	share FLOAT NOT NULL, 
	started_at VARCHAR NOT NULL, 
	event VARCHAR NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (rollout_id, version)
);
INSERT INTO "stages" VALUES(1,'r-v1',1,'v1','RUNNING','internal',0,1.0,'2026-01-05T09:00:00.000000Z','start');
CREATE TABLE state_version (
	id INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "state_version" VALUES(1,2);
COMMIT;
