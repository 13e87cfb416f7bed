"""The outbox in the state database: messages that must reach people, and what became of each. Parts of `StateReader` and `StateWriter`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from controlplane.core.audit import canonical
from controlplane.store import state_tables as t
from controlplane.store.state_rows import OutboxItem, outbox_from_row, to_text


class OutboxReader(ABC):
    """What can be looked up."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]: ...

    def outbox_due(self, now: datetime) -> list[OutboxItem]:
        """Messages not yet delivered whose next attempt is due, oldest first."""
        c = t.outbox.c
        open_ones = c.status.in_(("pending", "sending"))
        statement = select(t.outbox).where(open_ones, c.next_attempt_at <= to_text(now))
        return [outbox_from_row(row) for row in self._rows(statement.order_by(c.created_at, c.outbox_id))]

    def outbox(self) -> list[OutboxItem]:
        """All messages, oldest first."""
        rows = self._rows(select(t.outbox).order_by(t.outbox.c.created_at, t.outbox.c.outbox_id))
        return [outbox_from_row(row) for row in rows]


class OutboxWriter(OutboxReader):
    """What can be written."""

    @abstractmethod
    def _transaction(self, *, visible: bool = True, fenced: bool = True) -> AbstractContextManager[Connection]: ...

    def record_sending(self, outbox_id: str, receiver: str, now: datetime) -> None:
        """Before a message is sent: from here on a crash makes the next attempt look it up first."""
        values = {"status": "sending", "receiver": receiver, "attempts": t.outbox.c.attempts + 1}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))

    def record_sent(self, outbox_id: str, receipt: Mapping[str, Any], now: datetime) -> None:
        """After a message was delivered."""
        values = {"status": "sent", "receipt": canonical(dict(receipt)), "sent_at": to_text(now), "error": None}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))

    def record_failed(self, outbox_id: str, error: str, retry_at: datetime | None) -> None:
        """After a failed attempt: again at `retry_at`, or never (dead) when it is None."""
        values: dict[str, Any] = {"status": "dead", "error": error}
        if retry_at is not None:
            values = {"status": "sending", "error": error, "next_attempt_at": to_text(retry_at)}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))

    def record_suppressed(self, outbox_id: str, reason: str, now: datetime) -> None:
        """A message that need not be sent (inhibited, silenced, a duplicate), with the reason."""
        values = {"status": "suppressed", "error": reason, "sent_at": to_text(now)}
        with self._transaction() as connection:
            connection.execute(update(t.outbox).where(t.outbox.c.outbox_id == outbox_id).values(**values))

    def record_alerted(self, incident_id: str, at: datetime) -> None:
        """When the first message of an incident reached people (kept once)."""
        c = t.incidents.c
        with self._transaction() as connection:
            first = (c.incident_id == incident_id, c.alerted_at.is_(None))
            connection.execute(update(t.incidents).where(*first).values(alerted_at=to_text(at)))
