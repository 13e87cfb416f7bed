"""Silences, action items and presses in the state database. Parts of `StateReader` and `StateWriter`, apart because they are a subject of their own.

Every decision of a person puts an audit row behind it in the same transaction. Rows of `silences` and `incident_actions` are only ever added.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update

from controlplane.core.audit import canonical
from controlplane.core.incident import OVER
from controlplane.store import state_incident_tables as t
from controlplane.store.state_append import LostRace, append_audit
from controlplane.store.state_rows import (
    AuditEntry,
    IncidentRow,
    OutboxItem,
    from_text,
    incident_from_row,
    optional_time,
    outbox_from_row,
    to_text,
)
from controlplane.store.state_tables import audit, incidents, outbox

ADDED, ENDED = "added", "ended"
OPENED, CLOSED = "opened", "closed"
RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """Alerts whose labels match are not told in `[starts_at, expires_at)`, or until a person ended that. Times are aware UTC."""

    silence_id: str
    matchers: Mapping[str, tuple[str, ...]]
    author: str
    reason: str
    starts_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    def is_active(self, now: datetime) -> bool:
        """Whether it is in force at `now`."""
        return self.starts_at <= now < self.expires_at and self.ended_at is None


@dataclass(frozen=True, slots=True)
class ActionItem:
    """Something to be done after an incident. `outcome`: "" while open, else `done` or `dropped`, with the evidence that was named."""

    action_id: str
    incident_id: str
    kind: str
    text: str
    owner: str
    opened_by: str
    opened_at: datetime
    due_at: datetime | None = None
    outcome: str = ""
    evidence: str = ""
    closed_by: str = ""
    closed_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do it."""
        return not self.outcome


@dataclass(frozen=True, slots=True)
class Press:
    """Something a person pressed or typed in a chat; `press_id` is the same for every repeat of it. `payload` is plain JSON."""

    press_id: str
    received_at: datetime
    channel: str
    user_id: str
    action: str
    subject: str
    payload: dict[str, Any] = field(default_factory=dict)
    status: str = RECEIVED
    answer: str = ""
    done_at: datetime | None = None


class IncidentReader(ABC):
    """What can be looked up."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]: ...

    def incidents(self) -> list[IncidentRow]:
        """All incidents, oldest first."""
        rows = self._rows(select(incidents).order_by(incidents.c.detected_at))
        return [incident_from_row(row) for row in rows]

    def open_incidents(self, rollout_id: str | None = None) -> list[IncidentRow]:
        """Incidents that nobody has resolved, of all rollouts or of one, oldest first; what is asked at every heartbeat follows these, not the
        history."""
        c = incidents.c
        found = select(incidents).where(c.state.not_in(sorted(OVER)))
        if rollout_id is not None:
            found = found.where(c.rollout_id == rollout_id)
        return [incident_from_row(row) for row in self._rows(found.order_by(c.detected_at, c.incident_id))]

    def incident(self, incident_id: str) -> IncidentRow | None:
        """An incident by its id."""
        rows = self._rows(select(incidents).where(incidents.c.incident_id == incident_id))
        return incident_from_row(rows[0]) if rows else None

    def serious_incidents(self) -> list[IncidentRow]:
        """Incidents that a person called serious, oldest first."""
        found = select(incidents).where(incidents.c.serious != "{}").order_by(incidents.c.detected_at)
        return [incident_from_row(row) for row in self._rows(found)]

    def audit_about(self, subjects: Collection[str]) -> list[dict[str, Any]]:
        """The audit rows of these subjects as plain rows, oldest first."""
        c = audit.c
        mine = select(audit).where(c.subject.in_(sorted(subjects))).order_by(c.seq)
        return [dict(row._mapping) for row in self._rows(mine)]

    def uncontained_incidents(self, rollout_id: str) -> list[IncidentRow]:
        """Incidents of the rollout with a containment that was neither verified nor let go of, oldest first."""
        c = incidents.c
        waiting = or_(c.containments.contains('"how":""'), and_(c.cut_at.is_not(None), c.verified_at.is_(None)))
        mine = select(incidents).where(c.rollout_id == rollout_id, waiting)
        return [incident_from_row(row) for row in self._rows(mine.order_by(c.detected_at))]

    def incident_messages(self, incident_id: str) -> list[OutboxItem]:
        """The messages of an incident, oldest first."""
        mine = select(outbox).where(outbox.c.incident_id == incident_id)
        return [outbox_from_row(row) for row in self._rows(mine.order_by(outbox.c.created_at, outbox.c.outbox_id))]

    def silences(self) -> list[SilenceRow]:
        """All silences, oldest first; which are in force is a question of the time."""
        rows = self._rows(select(t.silences).order_by(t.silences.c.seq))
        ends = {row.silence_id: row for row in rows if row.event == ENDED}
        return [_silence(row, ends.get(row.silence_id)) for row in rows if row.event == ADDED]

    def action_items(self, incident_id: str | None = None) -> list[ActionItem]:
        """All action items, or those of an incident, oldest first."""
        statement = select(t.incident_actions).order_by(t.incident_actions.c.seq)
        if incident_id is not None:
            statement = statement.where(t.incident_actions.c.incident_id == incident_id)
        rows = self._rows(statement)
        ends = {row.action_id: row for row in rows if row.event == CLOSED}
        return [_item(row, ends.get(row.action_id)) for row in rows if row.event == OPENED]

    def press(self, press_id: str) -> Press | None:
        """A press by its id."""
        rows = self._rows(select(t.presses).where(t.presses.c.press_id == press_id))
        return _press(rows[0]) if rows else None

    def open_presses(self) -> list[Press]:
        """Presses that were received and not yet acted upon, oldest first."""
        c = t.presses.c
        waiting = select(t.presses).where(c.status == RECEIVED)
        return [_press(row) for row in self._rows(waiting.order_by(c.received_at, c.press_id))]

    def events_with(self, reference: str) -> frozenset[str]:
        """Events of the audit log whose reason carries the reference of a press: what was done for it already, before a crash."""
        found = select(audit.c.event).where(audit.c.reason.contains(reference, autoescape=True))
        return frozenset(str(row.event) for row in self._rows(found))


class IncidentWriter(IncidentReader):
    """What can be written."""

    @abstractmethod
    def _transaction(self, *, visible: bool = True, fenced: bool = True) -> AbstractContextManager[Connection]: ...

    def add_silence(self, item: SilenceRow, now: datetime) -> None:
        """Silence alerts, with the audit row that says who, why, what and until when. Raises LostRace for an id that is taken."""
        matchers = {name: sorted(values) for name, values in item.matchers.items()}
        span = {"starts_at": to_text(item.starts_at), "expires_at": to_text(item.expires_at)}
        row = {"silence_id": item.silence_id, "event": ADDED, "matchers": canonical(matchers), "actor": item.author}
        payload = {"matchers": matchers, **span}
        entry = AuditEntry(item.author, "silence_added", item.silence_id, item.reason, payload)
        self._append(
            t.silences, ("silence_id",), {**row, "reason": item.reason, "at": to_text(now), **span}, entry, now
        )

    def end_silence(self, item: SilenceRow, actor: str, reason: str, now: datetime) -> None:
        """End a silence before its time. Raises LostRace when somebody has ended it already."""
        matchers = canonical({name: sorted(values) for name, values in item.matchers.items()})
        row = {"silence_id": item.silence_id, "event": ENDED, "matchers": matchers, "actor": actor, "reason": reason}
        entry = AuditEntry(actor, "silence_ended", item.silence_id, reason)
        self._append(t.silences, ("silence_id",), {**row, "at": to_text(now)}, entry, now)

    def add_action_item(self, item: ActionItem) -> None:
        """Write down something to be done after an incident. Raises LostRace for an id that is taken."""
        entry = AuditEntry(
            item.opened_by, "action_opened", item.incident_id, item.text, _told(item) | {"owner": item.owner}
        )
        self._append(t.incident_actions, ("action_id",), _item_row(item, OPENED), entry, item.opened_at)

    def close_action_item(self, item: ActionItem) -> None:
        """Record that it is done, or dropped, by `closed_by` at `closed_at`. Raises LostRace when somebody has closed it already."""
        if item.closed_at is None or not item.outcome:
            raise ValueError(f"action {item.action_id} has no outcome and time of closing")
        row = _item_row(item, CLOSED) | {"actor": item.closed_by, "at": to_text(item.closed_at)}
        told = _told(item) | {"outcome": item.outcome, "evidence": item.evidence}
        entry = AuditEntry(item.closed_by, "action_closed", item.incident_id, item.evidence or item.outcome, told)
        self._append(t.incident_actions, ("action_id",), row, entry, item.closed_at)

    def _append(self, table: Any, key: tuple[str, ...], row: dict[str, Any], entry: AuditEntry, now: datetime) -> None:
        same = [table.c[name] == row[name] for name in (*key, "event")]
        with self._transaction() as connection:
            if connection.execute(select(table.c.seq).where(*same)).first() is not None:
                raise LostRace(f"{row[key[0]]} is {row['event']} already")
            connection.execute(insert(table).values(**row))
            append_audit(connection, entry, "", now)

    def receive_press(self, press: Press) -> bool:
        """Keep a press before it is answered; False when this very press was taken before."""
        row = {name: getattr(press, name) for name in ("press_id", "channel", "user_id", "action", "subject")}
        more = {"received_at": to_text(press.received_at), "payload": canonical(press.payload), "status": RECEIVED}
        with self._transaction(visible=False) as connection:
            found = connection.execute(select(t.presses.c.status).where(t.presses.c.press_id == press.press_id)).first()
            if found is None:
                connection.execute(insert(t.presses).values(**row, **more))
        return found is None

    def finish_press(self, press_id: str, status: str, answer: str, audit: AuditEntry, now: datetime) -> bool:
        """Record what became of a press (`done` or `refused`) with its audit row; False when that was recorded before."""
        c = t.presses.c
        values = {"status": status, "answer": answer, "done_at": to_text(now)}
        with self._transaction() as connection:
            waiting = (c.press_id == press_id, c.status == RECEIVED)
            if connection.execute(update(t.presses).where(*waiting).values(**values)).rowcount == 0:
                return False
            append_audit(connection, audit, "", now)
        return True


def _silence(row: Any, end: Any) -> SilenceRow:
    return SilenceRow(
        silence_id=row.silence_id,
        matchers={name: tuple(values) for name, values in json.loads(row.matchers).items()},
        author=row.actor,
        reason=row.reason,
        starts_at=from_text(row.starts_at),
        expires_at=from_text(row.expires_at),
        ended_at=None if end is None else from_text(end.at),
        ended_by="" if end is None else end.actor,
    )


def _item(row: Any, end: Any) -> ActionItem:
    return ActionItem(
        action_id=row.action_id,
        incident_id=row.incident_id,
        kind=row.kind,
        text=row.text,
        owner=row.owner,
        opened_by=row.actor,
        opened_at=from_text(row.at),
        due_at=optional_time(row.due_at),
        outcome="" if end is None else end.outcome,
        evidence="" if end is None else end.evidence,
        closed_by="" if end is None else end.actor,
        closed_at=None if end is None else from_text(end.at),
    )


def _item_row(item: ActionItem, event: str) -> dict[str, Any]:
    plain = ("action_id", "incident_id", "kind", "text", "owner", "outcome", "evidence")
    row = {name: getattr(item, name) for name in plain}
    due = None if item.due_at is None else to_text(item.due_at)
    return row | {"event": event, "due_at": due, "actor": item.opened_by, "at": to_text(item.opened_at)}


def _told(item: ActionItem) -> dict[str, Any]:
    return {"action_id": item.action_id, "kind": item.kind}


def _press(row: Any) -> Press:
    return Press(
        press_id=row.press_id,
        received_at=from_text(row.received_at),
        channel=row.channel,
        user_id=row.user_id,
        action=row.action,
        subject=row.subject,
        payload=json.loads(row.payload),
        status=row.status,
        answer=row.answer,
        done_at=optional_time(row.done_at),
    )
