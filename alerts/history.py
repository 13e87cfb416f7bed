"""What people were told before, read from the outbox, and the next message of an incident that follows from it. Pure.

The outbox is the notification log: a sent item's receipt says which receiver took it, when (`sent_at`), which alert keys it told
(`told`) and, for the first message of an incident, where it stands (`parent`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from alerts.message import Message
from alerts.model import Alert, AlertFormatError, Severity
from alerts.pipeline import Candidate, Group, LogEntry, gravest_first, key_of
from alerts.wording import headline


class Item(Protocol):
    """A message of the outbox."""

    @property
    def outbox_id(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def kind(self) -> str: ...
    @property
    def incident_id(self) -> str | None: ...
    @property
    def payload(self) -> dict[str, Any]: ...
    @property
    def status(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def receiver(self) -> str | None: ...
    @property
    def receipt(self) -> dict[str, Any] | None: ...


def iso(moment: datetime) -> str:
    """ISO-8601 UTC text with microseconds, which sorts as it compares."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def candidate_of(item: Item) -> Candidate:
    """The candidate of an outbox item. A payload that cannot be read becomes an alert that says so and shows it."""
    try:
        alert = Alert.from_dict(item.payload)
    except AlertFormatError as problem:
        alert = _unreadable(item, problem)
    if alert.incident_id is None and item.incident_id is not None:
        alert = replace(alert, incident_id=item.incident_id)
    return Candidate(item.outbox_id, item.kind, item.created_at, alert, item.attempts)


def _unreadable(item: Item, problem: AlertFormatError) -> Alert:
    shown = json.dumps(item.payload, ensure_ascii=False, default=str)[:1_000]
    return Alert(
        alert_id=item.outbox_id,
        labels={"alertname": "unreadable_alert", "category": "delivery", "outbox_id": item.outbox_id},
        annotations={
            "title": f"An alert that cannot be read: {item.outbox_id}",
            "summary": f"{problem}. Stored: {shown}",
        },
        severity=Severity.ERROR,
        starts_at=item.created_at,
        incident_id=item.incident_id,
    )


def group_key(item: Item) -> str:
    """The key of the group that an outbox item belongs to."""
    return key_of(candidate_of(item))


def sent_items(items: Iterable[Item]) -> list[Item]:
    """What was told, in the order in which it was told."""
    sent = [item for item in items if item.status == "sent" and item.receipt]
    return sorted(sent, key=_sent_at)


def _sent_at(item: Item) -> datetime:
    text = (item.receipt or {}).get("sent_at")
    return datetime.fromisoformat(text) if isinstance(text, str) else item.created_at


def log_entries(items: Iterable[Item]) -> dict[str, LogEntry]:
    """What was told last about each group: of every alert the state told last, and when anything was."""
    told: dict[str, dict[str, str]] = {}
    moments: dict[str, datetime] = {}
    for item in sent_items(items):
        key = group_key(item)
        told.setdefault(key, {}).update({_alert_of(word): word for word in (item.receipt or {}).get("told", ())})
        moments[key] = _sent_at(item)
    return {
        key: LogEntry(
            firing=frozenset(word for word in words.values() if "+" in word),
            resolved=frozenset(word for word in words.values() if "-" in word),
            told_at=moments[key],
        )
        for key, words in told.items()
    }


def _alert_of(key: str) -> str:
    """Which alert an `Alert.key` speaks of, whatever its state."""
    return key[:12]


def first_told(history: Iterable[Item]) -> datetime | None:
    """When people were first told of an incident."""
    return min(map(_sent_at, sent_items(history)), default=None)


def compose(group: Group, history: Sequence[Item], receiver: str, alerted: datetime) -> Message:
    """The message of a group: what happened now, and the incident's present state over all that was told and this.

    `history` are all items of the same incident, `receiver` is who will be asked to take it.
    """
    lead, sent = group.lead, sent_items(history)
    standing = _standing([*map(candidate_of, sent), *group.members])
    parents = [item.receipt for item in sent if item.receipt and item.receipt.get("receiver") == receiver]
    parent = next((receipt for receipt in reversed(parents) if receipt.get("parent")), None)
    unreceipted = any(item.attempts and not item.receipt for item in history)
    return Message(
        outbox_id=lead.outbox_id,
        incident_id=lead.alert.incident_id,
        event=_stamped(lead.alert, alerted),
        view=_stamped(standing[0].alert, alerted),
        also=tuple(headline(candidate.alert) for candidate in standing[1:]),
        parent=parent,
        in_doubt=lead.attempts > 0,
        parent_in_doubt=parent is None and unreceipted,
        told=tuple(candidate.alert.key for candidate in group.members),
    )


def _standing(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The newest state of every alert, the gravest first."""
    newest: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: (c.created_at, c.outbox_id)):
        newest[_alert_of(candidate.alert.key)] = candidate
    return sorted(newest.values(), key=gravest_first)


def _stamped(alert: Alert, alerted: datetime) -> Alert:
    return replace(alert, times=replace(alert.times, alerted=alert.times.alerted or alerted))
