"""Tables of the state database (SQLAlchemy Core), the same on SQLite and PostgreSQL.

Times are ISO-8601 UTC text with microseconds and a trailing Z, so they sort as they compare and read the same on any engine;
structured values are canonical JSON text, so that a hash over them never depends on a driver.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData()

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", String, nullable=False),
)

state_version = Table(
    "state_version",  # one row; rises with every write, so that readers see at once whether anything changed
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("release_hash", String, primary_key=True),
    Column("release", String, nullable=False),
    Column("artefacts", Text, nullable=False),  # JSON: model, prompt, knowledge, classifier hashes
    Column("author", String, nullable=False),
    Column("registered_at", String, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("policy_hash", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("registered_at", String, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("rollout_id", String, primary_key=True),
    Column("release", String, nullable=False),
    Column("release_hash", String, nullable=False),
    Column("state", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("execution_enabled", Boolean, nullable=False),
    Column("policy_hash", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("stage_started_at", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("cut_verified_at", String, nullable=True),
    Column("accepted_release", String, nullable=False, server_default=""),  # COMPLETE before this one; since schema 2
    Column("contained", Text, nullable=False, server_default="[]"),  # JSON list of intents; since schema 2
)

overrides = Table(
    "overrides",  # append-only: one row when a trigger is set aside, one when a person ends that before its time; since schema 2
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("override_id", String, nullable=False),
    Column("rollout_id", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("event", String, nullable=False),  # added | ended
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", String, nullable=False),
    Column("until", String, nullable=True),  # of `added`
    UniqueConstraint("override_id", "event"),
)

containments = Table(
    "containments",  # which confirmed misrouting sent which category to people: each evaluation acts once; since schema 2
    metadata,
    Column("evaluation_id", String, primary_key=True),
    Column("category", String, nullable=False),  # intent; empty: conversations whose intent is not told
    Column("conversation_id", String, nullable=False),
    Column("rollout_id", String, nullable=False),
    Column("evaluator", String, nullable=False),
    Column("contained_at", String, nullable=False),
)

stages = Table(
    "stages",  # history of what share was served when: one row per change of (phase, stage, share, state, change marker)
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("rollout_id", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("release", String, nullable=False),
    Column("state", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("started_at", String, nullable=False),
    Column("event", String, nullable=False),
    UniqueConstraint("rollout_id", "version"),
)

ledger = Table(
    "ledger",  # one hash-chained row per closed block, all its streams packed
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("rollout_id", String, nullable=False),
    Column("policy_hash", String, nullable=False),
    Column("block_key", String, nullable=False),  # lane (maturity, span) and block start
    Column("lane", String, nullable=False),
    Column("block_start", String, nullable=False),
    Column("span_seconds", Integer, nullable=False),
    Column("last_batch", Integer, nullable=False),
    Column("closed_at", String, nullable=False),
    Column("counts", Text, nullable=False),  # JSON list: one object per stream (trigger, segment, counts)
    Column(
        "readings", Text, nullable=False
    ),  # JSON list: trigger, segment, log_e, log_threshold, fired, verdict, weight_spent, onset
    Column("prev_hash", String, nullable=False, unique=True),
    Column("hash", String, nullable=False),
    UniqueConstraint("rollout_id", "policy_hash", "block_key"),
)

detectors = Table(
    "detectors",  # where each lane stands: state of its detectors and certificates after its last closed block
    metadata,
    Column("rollout_id", String, primary_key=True),
    Column("lane", String, primary_key=True),
    Column("closed_until", String, nullable=False),
    Column("state", Text, nullable=False),  # JSON, rebuilt by a replay of the ledger
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("event", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payload", Text, nullable=False),  # canonical JSON
    Column("policy_hash", String, nullable=False),
    Column("prev_hash", String, nullable=False, unique=True),
    Column("hash", String, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", String, primary_key=True),
    Column("created_at", String, nullable=False),
    Column("kind", String, nullable=False),  # alert | resolve | review
    Column("incident_id", String, nullable=True),
    Column("payload", Text, nullable=False),  # JSON: labels, annotations, evidence (alerts.model.Alert)
    Column("status", String, nullable=False),  # pending | sending | sent | suppressed | dead
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", String, nullable=False),
    Column("receiver", String, nullable=True),
    Column("receipt", Text, nullable=True),  # JSON: channel and message ts, or what the receiver returned
    Column("sent_at", String, nullable=True),
    Column("error", Text, nullable=True),
    Column("route", String, nullable=False, server_default=""),  # which route this copy goes by; since schema 4
    Index("outbox_open", "status", "next_attempt_at"),  # a heartbeat reads what is open, never the history
    Index("outbox_incident", "incident_id", "created_at"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("incident_id", String, primary_key=True),
    Column("rollout_id", String, nullable=False),
    Column("release", String, nullable=False),
    Column("state", String, nullable=False),  # open | acknowledged | contained | resolved | reviewed
    Column("severity", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("trigger", String, nullable=False),
    Column("onset_at", String, nullable=True),
    Column("detected_at", String, nullable=False),
    Column("cut_at", String, nullable=True),
    Column("verified_at", String, nullable=True),
    Column("alerted_at", String, nullable=True),
    Column("resolved_at", String, nullable=True),
    Column("customers_exposed", Integer, nullable=True),
    Column("evidence", Text, nullable=False),  # JSON
    Column("timeline", Text, nullable=False),  # JSON list of {at, actor, text}
    # since schema 4:
    Column("owner", String, nullable=False, server_default=""),
    Column("acknowledged_at", String, nullable=True),
    Column("reviewed_at", String, nullable=True),
    Column("serious", Text, nullable=False, server_default="{}"),  # JSON: since, kind, due_at, reported_at
    Column(
        "containments", Text, nullable=False, server_default="[]"
    ),  # JSON list of {action, done_at, verified_at, how}
)

approvals = Table(
    "approvals",
    metadata,
    Column("approval_id", String, primary_key=True),
    Column("rollout_id", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("release_hash", String, nullable=False),
    Column("approver", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("approved_at", String, nullable=False),
)

runs = Table(
    "runs",  # a scheduled run claims (job, slot) before it works
    metadata,
    Column("job", String, primary_key=True),
    Column("slot", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("lease_until", String, nullable=False),
    Column("done_at", String, nullable=True),
    Column("result", Text, nullable=True),
)

leases = Table(
    "leases",  # named exclusive roles (the writer); the fencing token rises with every change of hands
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("token", Integer, nullable=False),
    Column("lease_until", String, nullable=False),
)

artefacts = Table(
    "artefacts",  # versioned results of jobs: drift reports, reviews
    metadata,
    Column("artefact_id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("path", String, nullable=False),
    Column("summary", Text, nullable=False),
)

facts_head = Table(
    "facts_head",  # one row: the newest ingest batch that blocks were judged with, so that restored facts are noticed
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", Integer, nullable=False),
    Column("identity", Text, nullable=False),  # file, offsets and records: numbers alone are used again after a restore
    Column("recorded_at", String, nullable=False),
)

dataset_versions = Table(
    "dataset_versions",  # evaluation data sets: a name moves from version to version; the rows lie in the workspace under their hash
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),  # sha256 of the canonical rows
    Column("rows", Integer, nullable=False),
    Column("parent", String, nullable=True),  # the version before, under this name
    Column("origin", Text, nullable=False),
    Column("actor", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("summary", Text, nullable=False),  # JSON: rows by what they ask for, origin and topic
)

acceptance_criteria = Table(
    "acceptance_criteria",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("criteria_hash", String, nullable=False, unique=True),  # over the text and the pinned data-set versions
    Column("name", String, nullable=False),  # the newest registration of a name replaces the ones before
    Column("owner", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("datasets", Text, nullable=False),  # JSON: version by name, empty = any registered data set
    Column("actor", String, nullable=False),
    Column("registered_at", String, nullable=False),
)

evaluation_runs = Table(
    "evaluation_runs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False, unique=True),
    Column("release", String, nullable=False),
    Column("release_hash", String, nullable=False),
    Column("artefacts", Text, nullable=False),  # JSON: hash by artefact
    Column("criteria_hash", String, nullable=False),
    Column("criteria_name", String, nullable=False),
    Column("datasets", Text, nullable=False),  # JSON: version by name
    Column("seed", Integer, nullable=False),
    Column("code_version", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("finished_at", String, nullable=True),  # none: begun and not ended, so perhaps seen in part
    Column("verdict", String, nullable=True),
    Column("result", Text, nullable=True),  # JSON: figures and verdicts
    Column("result_hash", String, nullable=True),
    Column("outcomes_hash", String, nullable=True),  # of the per-row outcomes in the workspace
)

review_labels = Table(
    "review_labels",  # what a person said about a sampled answer; text stays with the facts
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("interaction_id", String, nullable=False),
    Column("rollout_id", String, nullable=False),
    Column("stage_version", Integer, nullable=False),  # rollout version at which the reviewed stage began
    Column("label", String, nullable=False),  # correct | incorrect | unsafe
    Column("note", Text, nullable=False),
    Column("reviewer", String, nullable=False),
    Column("labelled_at", String, nullable=False),
)
