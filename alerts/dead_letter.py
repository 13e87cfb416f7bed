"""The alert that a message could not be delivered, and its end when the receiver takes messages again. Pure.

It goes by another receiver: `alerts.pipeline.receivers_for` leaves out the one that its label names. A dead letter about a dead letter would go
round in circles, so there is none: what its route's stand-ins were told is the end of it.
"""

from __future__ import annotations

from datetime import datetime

from alerts.history import Item, candidate_of
from alerts.model import Alert, Severity, Status, resolved
from alerts.pipeline import DELIVERY_FAILED, Candidate
from alerts.wording import headline
from controlplane.store.state_rows import NewMessage


def prefix_of(receiver: str) -> str:
    """How the ids of a receiver's dead letters begin."""
    return f"dead:{receiver}:"


def news_of(dead: Candidate, receiver: str, error: str, now: datetime) -> NewMessage | None:
    """What people are told of a message that `receiver` will never take; None for one that itself tells of a dead letter."""
    if dead.alert.labels.get("alertname") == DELIVERY_FAILED:
        return None
    identity = f"{prefix_of(receiver)}{dead.outbox_id}"
    about = f" of incident {dead.alert.incident_id}" if dead.alert.incident_id else ""
    alert = Alert(
        alert_id=identity,
        labels={"alertname": DELIVERY_FAILED, "category": "delivery", "receiver": receiver},
        annotations={
            "title": f"Messages do not arrive: {receiver}",
            "summary": f"Message {dead.outbox_id}{about} ({headline(dead.alert)}) was given up: {error}",
        },
        severity=Severity.ERROR,
        starts_at=now,
        done=("the message stays in the outbox as dead; who stands in for the receiver has it, or another route",),
    )
    return NewMessage(identity, "alert", alert.to_dict())


def over_of(newest: Item, now: datetime) -> NewMessage | None:
    """The end of a receiver's newest dead letter, now that it takes messages; None when it was told already."""
    alert = candidate_of(newest).alert
    if alert.status is Status.RESOLVED:
        return None
    identity = f"{newest.outbox_id}:over"
    receiver = alert.labels.get("receiver", "the receiver")
    over = resolved(alert, now, (f"{receiver} takes messages again",))
    return NewMessage(identity, "resolve", over.to_dict())
