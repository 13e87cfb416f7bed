"""Tables of alerts and incidents, since schema 4: silences, action items, and what people pressed. Silences and action items are append-only."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table, Text, UniqueConstraint

from controlplane.store.state_tables import metadata

silences = Table(
    "silences",  # one row when a person silences alerts, one when somebody ends that before its time
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("silence_id", String, nullable=False),
    Column("event", String, nullable=False),  # added | ended
    Column("matchers", Text, nullable=False),  # JSON: label -> list of values
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", String, nullable=False),
    Column("starts_at", String, nullable=True),  # of `added`
    Column("expires_at", String, nullable=True),  # of `added`
    UniqueConstraint("silence_id", "event"),
)

incident_actions = Table(
    "incident_actions",  # what is to be done after an incident: one row when it is written down, one when it is done or dropped
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("action_id", String, nullable=False),
    Column("incident_id", String, nullable=False),
    Column("event", String, nullable=False),  # opened | closed
    Column(
        "kind", String, nullable=False
    ),  # prompt | classifier | guardrail | threshold | knowledge | monitoring | other
    Column("text", Text, nullable=False),
    Column("owner", String, nullable=False),
    Column("due_at", String, nullable=True),
    Column("outcome", String, nullable=False, server_default=""),  # of `closed`: done | dropped
    Column(
        "evidence", Text, nullable=False, server_default=""
    ),  # of `closed`: an evaluation run, a data-set version, a commit
    Column("actor", String, nullable=False),
    Column("at", String, nullable=False),
    UniqueConstraint("action_id", "event"),
)

presses = Table(
    "presses",  # what people pressed or typed in a chat, each taken once: written before it is answered, done after
    metadata,
    Column("press_id", String, primary_key=True),  # the same for every repeat of one press
    Column("received_at", String, nullable=False),
    Column("channel", String, nullable=False),  # socket | http
    Column("user_id", String, nullable=False),  # in the chat
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),  # incident or rollout
    Column("payload", Text, nullable=False),  # JSON
    Column("status", String, nullable=False),  # received | done | refused
    Column("answer", Text, nullable=False, server_default=""),
    Column("done_at", String, nullable=True),
)
