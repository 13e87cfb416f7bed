"""The outbox in the state database: messages that must reach people, and what became of each. Parts of `StateReader` and `StateWriter`.

A message is written with route "" by whoever has something to say. Before anything is sent, `record_routed` names the route of that row and adds one
copy for every other route that takes it, all in one transaction; from then on each row goes its own way. So every copy has its own attempts, its own
receipt and its own end, and a crash can lose none of them. What delivery reads per round is what is open and the messages of the chains it touches,
by index: not the history.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from controlplane.core.audit import canonical
from controlplane.store import state_tables as t
from controlplane.store.state_append import append_message
from controlplane.store.state_rows import NewMessage, OutboxItem, outbox_from_row, to_text

_OPEN = ("pending", "sending")
_OVER = ("resolved", "reviewed")  # states of an incident
_CHUNK = 500  # ids in one statement; SQLite takes a limited number of parameters


def copy_id(outbox_id: str, route: str) -> str:
    """The id of a message's copy for a further route; the same message never has two copies for one route."""
    return f"{outbox_id}@{route}"


def is_copy(item: OutboxItem) -> bool:
    """Whether the row is a copy for a further route, so that messages can be counted once."""
    return bool(item.route) and item.outbox_id.endswith(f"@{item.route}")


class OutboxReader(ABC):
    """What can be looked up."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]: ...

    def outbox_due(self, now: datetime) -> list[OutboxItem]:
        """Messages not yet delivered whose next attempt is due, oldest first."""
        c = t.outbox.c
        return self._items(c.status.in_(_OPEN), c.next_attempt_at <= to_text(now))

    def outbox_of(self, incidents: Collection[str], loose_since: datetime | None = None) -> list[OutboxItem]:
        """Messages of these incidents, and with `loose_since` those since then that have none. Oldest first.

        Not what was suppressed, unless it was tried (then it may have arrived all the same), or, of an incident, told inside another message.
        """
        c = t.outbox.c
        told = or_(c.status != "suppressed", c.attempts > 0)
        kept = or_(told, c.receipt.is_not(None))
        found = [item for part in _parts(sorted(incidents)) for item in self._items(c.incident_id.in_(part), kept)]
        if loose_since is not None:
            found += self._items(c.incident_id.is_(None), c.created_at >= to_text(loose_since), told)
        return sorted(found, key=lambda item: (item.created_at, item.outbox_id))

    def outbox(self) -> list[OutboxItem]:
        """All messages, oldest first: for reports, never for a heartbeat."""
        return self._items()

    def newest_message(self, prefix: str) -> OutboxItem | None:
        """The newest message whose id begins so, or None."""
        c = t.outbox.c
        named = select(t.outbox).where(c.outbox_id >= prefix, c.outbox_id < f"{prefix}\U0010ffff")
        rows = self._rows(named.order_by(c.created_at.desc(), c.outbox_id.desc()).limit(1))
        return outbox_from_row(rows[0]) if rows else None

    def unfinished_incidents(self) -> list[str]:
        """Ids of the incidents that are not over, oldest first."""
        c = t.incidents.c
        open_ones = select(c.incident_id).where(c.state.not_in(_OVER)).order_by(c.detected_at)
        return [str(row.incident_id) for row in self._rows(open_ones)]

    def outbox_counts(self) -> dict[str, int]:
        """How many messages have each status; a status that none has is missing."""
        counted = select(t.outbox.c.status, func.count().label("messages")).group_by(t.outbox.c.status)
        return {str(row.status): int(row.messages) for row in self._rows(counted)}

    def _items(self, *where: Any) -> list[OutboxItem]:
        c = t.outbox.c
        rows = self._rows(select(t.outbox).where(*where).order_by(c.created_at, c.outbox_id))
        return [outbox_from_row(row) for row in rows]


class OutboxWriter(OutboxReader):
    """What can be written."""

    @abstractmethod
    def _transaction(self, *, visible: bool = True, fenced: bool = True) -> AbstractContextManager[Connection]: ...

    def record_routed(self, routes: Mapping[str, Sequence[str]]) -> None:
        """Name the routes of messages, by id: the row itself goes by the first, a copy by each of the others. All or nothing.

        A copy is as old as its message, so that it stands where it belongs in its chain. A copy that exists is left as it is.
        """
        by_route: dict[str, list[str]] = {}
        for outbox_id, names in routes.items():
            by_route.setdefault(names[0], []).append(outbox_id)
        with self._transaction() as connection:
            for name, ids in by_route.items():
                _update(connection, ids, {"route": name})
            _add_copies(connection, {one: names[1:] for one, names in routes.items() if len(names) > 1})

    def record_waiting(self, outbox_ids: Sequence[str], until: datetime) -> None:
        """Messages that need not be looked at before `until`, when their receiver may be asked again."""
        with self._transaction(visible=False) as connection:
            _update(connection, outbox_ids, {"next_attempt_at": to_text(until)})

    def record_sending(self, outbox_id: str, receiver: str, now: datetime) -> None:
        """Before a message is sent: from here on a crash makes the next attempt look it up first."""
        values = {"status": "sending", "receiver": receiver, "attempts": t.outbox.c.attempts + 1}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))

    def record_sent(
        self, outbox_id: str, receipt: Mapping[str, Any], now: datetime, within: Mapping[str, str] | None = None
    ) -> None:
        """After a message was delivered. `within`: ids of messages that were told inside it, with the words that say so; their receipt names it."""
        values = {"status": "sent", "receipt": canonical(dict(receipt)), "sent_at": to_text(now), "error": None}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))
            _suppress(connection, within or {}, now, receipt=canonical({"within": outbox_id}))

    def record_failed(
        self,
        outbox_id: str,
        error: str,
        retry_at: datetime | None,
        now: datetime | None = None,
        news: NewMessage | None = None,
        within: Mapping[str, str] | None = None,
    ) -> None:
        """After a failed attempt: again at `retry_at`, or never (dead) when it is None.

        Of a dead one, with its time `now`: `news` is the message that tells people of it, `within` are ids of the messages that whoever stands in
        was told inside it, with the words that say so.
        """
        values: dict[str, Any] = {"status": "dead", "error": error}
        if retry_at is not None:
            values = {"status": "sending", "error": error, "next_attempt_at": to_text(retry_at)}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))
            if now is not None:
                _suppress(connection, within or {}, now)
                if news is not None:
                    append_message(connection, news, now)

    def record_suppressed(self, reasons: Mapping[str, str], now: datetime) -> None:
        """Messages that need not be sent (inhibited, silenced, a duplicate), by id with the reason, all or nothing."""
        with self._transaction() as connection:
            _suppress(connection, reasons, now)

    def add_message(self, message: NewMessage, now: datetime, route: str = "") -> None:
        """A message that no other change goes with, by a `route` if named; one whose id is there already is left as it is."""
        c = t.outbox.c
        with self._transaction() as connection:
            append_message(connection, message, now)
            if route:
                unrouted = (c.outbox_id == message.outbox_id, c.route == "")
                connection.execute(update(t.outbox).where(*unrouted).values(route=route))

    def record_alerted(self, incident_id: str, at: datetime) -> None:
        """When the first message of an incident reached people (kept once)."""
        c = t.incidents.c
        with self._transaction() as connection:
            first = (c.incident_id == incident_id, c.alerted_at.is_(None))
            connection.execute(update(t.incidents).where(*first).values(alerted_at=to_text(at)))


def _add_copies(connection: Connection, routes: Mapping[str, Sequence[str]]) -> None:
    c = t.outbox.c
    wanted = [copy_id(outbox_id, name) for outbox_id, names in routes.items() for name in names]
    there: set[str] = set()
    originals: dict[str, Any] = {}
    for part in _parts(wanted):
        there |= {str(row.outbox_id) for row in connection.execute(select(c.outbox_id).where(c.outbox_id.in_(part)))}
    for part in _parts(list(routes)):
        found = connection.execute(select(t.outbox).where(c.outbox_id.in_(part)))
        originals |= {str(row.outbox_id): row for row in found}
    rows = [
        {name: getattr(originals[outbox_id], name) for name in ("created_at", "kind", "incident_id", "payload")}
        | {"outbox_id": copy_id(outbox_id, route), "route": route, "status": "pending", "attempts": 0}
        | {"next_attempt_at": originals[outbox_id].created_at}
        for outbox_id, names in routes.items()
        for route in names
        if copy_id(outbox_id, route) not in there
    ]
    if rows:
        connection.execute(insert(t.outbox), rows)


def _suppress(connection: Connection, reasons: Mapping[str, str], now: datetime, **more: str) -> None:
    by_reason: dict[str, list[str]] = {}
    for outbox_id, reason in reasons.items():
        by_reason.setdefault(reason, []).append(outbox_id)
    for reason, ids in by_reason.items():
        _update(connection, ids, {"status": "suppressed", "error": reason, "sent_at": to_text(now)} | more)


def _update(connection: Connection, outbox_ids: Sequence[str], values: Mapping[str, Any]) -> None:
    for part in _parts(outbox_ids):
        connection.execute(update(t.outbox).where(t.outbox.c.outbox_id.in_(part)).values(**values))


def _parts(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]
