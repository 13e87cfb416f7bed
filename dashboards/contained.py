"""What was taken from customers for an incident, and whether it was seen to hold: a cut, workflows switched off, a topic sent to people. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controlplane.store.state_rows import IncidentRow, from_text

ROLLBACK, DISABLE, CONTAIN = "rollback", "disable_execution", "contain"
RANK = (CONTAIN, DISABLE, ROLLBACK)  # the further-reaching act last


@dataclass(frozen=True)
class Taken:
    """The furthest-reaching act, when, and when all acts of the incident were verified (None: one was not). `pending`: one still waits for it."""

    action: str
    at: datetime
    verified: datetime | None
    pending: bool


def taken(row: IncidentRow) -> Taken | None:
    """What the incident took from customers; None where nothing was taken, as by a hold."""
    known = [one for one in row.containments if one.get("action") in RANK]
    if row.cut_at is not None:
        pending = row.verified_at is None and not all(one.get("how") for one in known) if known else not row.verified_at
        return Taken(ROLLBACK, row.cut_at, row.verified_at, pending)
    if not known:
        return None
    last = max(known, key=lambda one: (RANK.index(one["action"]), str(one["done_at"])))
    pending = any(not one.get("how") for one in known)
    return Taken(last["action"], from_text(last["done_at"]), None if pending else row.verified_at, pending)
