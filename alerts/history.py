"""What people were told before, read from the outbox, and the next message of a chain that follows from it. Pure.

The outbox is the notification log: a sent item's receipt says which receiver took it, when (`sent_at`), which alert keys it told
(`told`) and, for the first message of an incident, where it stands (`parent`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from alerts.message import Message
from alerts.model import Alert, AlertFormatError, Severity
from alerts.pipeline import (
    Candidate,
    Group,
    LogEntry,
    Route,
    alert_word,
    chain_key,
    chain_of,
    gravest_first,
    incident_key,
    is_human,
    route_of,
    word_of,
)
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
    @property
    def route(self) -> str: ...


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
    return Candidate(item.outbox_id, item.kind, item.created_at, alert, item.attempts, item.route)


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


def chain_of_item(item: Item, routes: Sequence[Route]) -> str:
    """The key of the chain that a message of the outbox belongs to: at the receiver that was asked, else at the one that will be."""
    if item.incident_id:
        named = next((route for route in routes if route.name == item.route), None)
        receiver = item.receiver or (named.receivers[0] if named else None)
        if receiver is not None:
            return incident_key(receiver, item.incident_id)
    candidate = candidate_of(item)
    if item.receiver is None:
        return chain_of(candidate, routes)
    return chain_key(item.receiver, candidate, route_of(candidate, routes))


def sent_items(items: Iterable[Item]) -> list[Item]:
    """What was told, in the order in which it was told."""
    sent = [item for item in items if item.status == "sent" and item.receipt]
    return sorted(sent, key=_sent_at)


def told_items(items: Iterable[Item]) -> list[Item]:
    """What people know: what was sent, and what was told inside it (then its receipt says so)."""
    return [item for item in items if item.receipt and (item.status == "sent" or "within" in item.receipt)]


def _sent_at(item: Item) -> datetime:
    text = (item.receipt or {}).get("sent_at")
    return datetime.fromisoformat(text) if isinstance(text, str) else item.created_at


def log_entry(history: Iterable[Item]) -> LogEntry | None:
    """What was told last of a chain: of every alert the state told last, and when anything was. None when nothing was."""
    told: dict[str, str] = {}
    newest: dict[str, tuple[datetime, str]] = {}
    sent = sent_items(history)
    automatic = []
    for item in sent:
        told.update({alert_word(key): key for key in (item.receipt or {}).get("told", ())})
        own = candidate_of(item)
        automatic += [] if is_human(own) else [_sent_at(item)]
        word = word_of(own.alert)
        newest[word] = max(own.order, newest.get(word, own.order))
    if not sent:
        return None
    return LogEntry(
        firing=frozenset(key for key in told.values() if "+" in key),
        resolved=frozenset(key for key in told.values() if "-" in key),
        told_at=_sent_at(sent[-1]),
        newest=newest,
        automatic=tuple(automatic),
    )


def first_told(history: Iterable[Item]) -> datetime | None:
    """When people were first told of an incident, by whichever receiver."""
    return min(map(_sent_at, sent_items(history)), default=None)


def compose(group: Group, history: Sequence[Item], receiver: str, alerted: datetime, repeat: timedelta) -> Message:
    """The message of a group: what happened now, and the incident's present state over all that was told and this.

    `history` are all items of the same chain, `receiver` is who will be asked to take it, `alerted` when people were first told of the incident.
    """
    lead, sent = group.lead, sent_items(history)
    now = standing(group.all)
    everything = [*map(candidate_of, told_items(history)), *group.all]
    present, stands = standing(everything), _incident_standing(everything)
    parents = [item.receipt for item in sent if item.receipt and item.receipt.get("receiver") == receiver]
    parent = next((receipt for receipt in reversed(parents) if receipt.get("parent")), None)
    unreceipted = any(item.attempts and not item.receipt for item in history)
    return Message(
        outbox_id=lead.outbox_id,
        incident_id=lead.alert.incident_id,
        event=_stamped(now[0].alert, alerted, stands),
        view=_stamped(present[0].alert, alerted, stands),
        also=tuple(headline(candidate.alert) for candidate in present[1:]),
        parent=parent,
        in_doubt=lead.attempts > 0,
        parent_in_doubt=parent is None and unreceipted,
        told=_last_of_each([candidate.alert.key for candidate in group.all]),
        steps=tuple(candidate.alert.step for candidate in group.all if candidate.alert.step),
        alerts=tuple(_stamped(candidate.alert, alerted, stands) for candidate in now),
        repeat=repeat,
    )


def _last_of_each(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys as they came, of equal ones the last: what is told last of an alert is where it stands."""
    return tuple(reversed(dict.fromkeys(reversed(keys))))


def standing(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The newest state of every alert, the gravest first."""
    newest: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: c.order):
        newest[word_of(candidate.alert)] = candidate
    return sorted(newest.values(), key=gravest_first)


def _incident_standing(candidates: Iterable[Candidate]) -> Mapping[str, str]:
    """Where the incident stands by the newest message that says so: an alert beside its own does not know, or no longer."""
    saying = [candidate for candidate in candidates if candidate.alert.standing]
    return max(saying, key=lambda c: c.order).alert.standing if saying else {}


def _stamped(alert: Alert, alerted: datetime, stands: Mapping[str, str]) -> Alert:
    return replace(alert, times=replace(alert.times, alerted=alert.times.alerted or alerted), standing=stands)
