"""What became of messages, for people who ask what was told and why something was not. Part of `StateReader`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from controlplane.store.state_rows import OutboxItem, optional_time, outbox_from_row
from controlplane.store.state_tables import outbox


@dataclass(frozen=True, slots=True)
class OutboxEnd:
    """A message and its end: when it was sent or suppressed (None before), and the reason or the last failure ("" where there is none)."""

    item: OutboxItem
    ended_at: datetime | None
    error: str


class OutboxLogReader(ABC):
    """What can be looked up."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]: ...

    def outbox_log(self, limit: int, status: str | None = None) -> list[OutboxEnd]:
        """The newest `limit` messages, of one status where one is named; oldest first."""
        statement = select(outbox).order_by(outbox.c.created_at.desc(), outbox.c.outbox_id.desc()).limit(limit)
        if status is not None:
            statement = statement.where(outbox.c.status == status)
        rows = reversed(self._rows(statement))
        return [OutboxEnd(outbox_from_row(row), optional_time(row.sent_at), row.error or "") for row in rows]
