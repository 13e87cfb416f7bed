"""Tables of the review queue, since schema 3: all append-only, ids and labels only; what was asked and answered stays with the facts."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Integer, String, Table, Text, UniqueConstraint

from controlplane.store.state_tables import metadata

review_draws = Table(
    "review_draws",  # one row per draw: the frame it drew from, and with which probability
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("draw_id", String, nullable=False, unique=True),
    Column("since", String, nullable=True),  # none: from the beginning of the facts
    Column("until", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("drawn_at", String, nullable=False),
    Column("frame", Integer, nullable=False),  # answers of the span
    Column("design", Text, nullable=False),  # JSON: rates, strata with their size and probability, settings
)

review_items = Table(
    "review_items",  # an answer is drawn at most once
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("item_id", String, nullable=False, unique=True),
    Column("draw_id", String, nullable=False),
    Column("interaction_id", String, nullable=False, unique=True),
    Column("conversation_id", String, nullable=False),
    Column("rollout_id", String, nullable=True),
    Column("release", String, nullable=True),
    Column("intent_pred", String, nullable=True),
    Column("answered_at", String, nullable=False),
    Column(
        "stratum", String, nullable=False
    ),  # every reason that applies, joined by '+'; "none" where only chance drew it
    Column("reasons", Text, nullable=False),  # JSON list: those that drew it
    Column("probability", Float, nullable=False),  # of being drawn by any reason
    Column("audit_rate", Float, nullable=False),  # of the random audit alone
    Column("wanted", Integer, nullable=False),  # labels: one person's or two
    Column("drawn_at", String, nullable=False),
)

review_assignments = Table(
    "review_assignments",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("item_id", String, nullable=False),
    Column("round", Integer, nullable=False),  # 1 or 2: the first and the second person
    Column("reviewer", String, nullable=False),
    Column("assigned_by", String, nullable=False),
    Column("assigned_at", String, nullable=False),
    UniqueConstraint("item_id", "round"),
    UniqueConstraint("item_id", "reviewer"),
)


def _opinion() -> tuple[Column[object], ...]:
    return (
        Column("label", String, nullable=False),  # correct | incorrect | unsafe
        Column("intent", String, nullable=True),  # the true one; "out_of_scope" for none of ours
        Column("grounded", Boolean, nullable=True),
        Column("severity", Integer, nullable=True),  # 1 mild to 5 severe
        Column("note", Text, nullable=False),
    )


review_opinions = Table(
    "review_opinions",  # what a person said; a later row of the same round replaces it in the count until the item is settled
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("item_id", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("reviewer", String, nullable=False),
    *_opinion(),
    Column("at", String, nullable=False),
)

review_adjudications = Table(
    "review_adjudications",  # who decided between two people, once
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("item_id", String, nullable=False, unique=True),
    Column("reviewer", String, nullable=False),
    Column("role", String, nullable=False),  # third | owner
    *_opinion(),
    Column("at", String, nullable=False),
)

review_returns = Table(
    "review_returns",  # settled items whose evaluations lie in the landing folder
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("item_id", String, nullable=False, unique=True),
    Column("evaluations", Integer, nullable=False),
    Column("at", String, nullable=False),
)
