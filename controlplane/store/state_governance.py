"""Governance in the state database: overrides, containments, and what decisions ask of the past.

Parts of `StateReader` and `StateWriter`, apart because they are a subject of their own. Every write puts an audit row behind it in the same
transaction. Rows of `overrides` are only ever added.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select

from controlplane.core.overrides import Override
from controlplane.store import state_tables as t
from controlplane.store.state_append import LostRace, append_audit
from controlplane.store.state_rows import AuditEntry, Containment, FactsHead, from_text, to_text

ADDED, ENDED = "added", "ended"
LEDGER_TAIL = 64  # rows: more than there are lanes, so that the newest block of each is among them


class GovernanceReader(ABC):
    """What can be looked up."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]: ...

    def overrides(self, rollout_id: str | None = None) -> list[Override]:
        """All overrides, or those of a rollout, oldest first; which are in force is a question of the time."""
        statement = select(t.overrides).order_by(t.overrides.c.seq)
        if rollout_id is not None:
            statement = statement.where(t.overrides.c.rollout_id == rollout_id)
        rows = self._rows(statement)
        ends = {row.override_id: row for row in rows if row.event == ENDED}
        return [_override(row, ends.get(row.override_id)) for row in rows if row.event == ADDED]

    def containments(self) -> list[Containment]:
        """Every confirmed severe misrouting that has been acted upon, oldest first."""
        c = t.containments.c
        rows = self._rows(select(t.containments).order_by(c.contained_at, c.evaluation_id))
        return [
            Containment(
                evaluation_id=row.evaluation_id,
                category=row.category,
                conversation_id=row.conversation_id,
                rollout_id=row.rollout_id,
                evaluator=row.evaluator,
                contained_at=from_text(row.contained_at),
            )
            for row in rows
        ]

    def rollout_ids(self) -> list[str]:
        """Every rollout there ever was."""
        return sorted(str(row.rollout_id) for row in self._rows(select(t.rollouts.c.rollout_id)))

    def last_event_at(self, actor: str, events: Collection[str]) -> datetime | None:
        """When that actor last did one of these things, by the audit log."""
        c = t.audit.c
        mine = (c.actor == actor, c.event.in_(sorted(events)))
        rows = self._rows(select(c.at).where(*mine).order_by(c.seq.desc()).limit(1))
        return from_text(rows[0].at) if rows else None

    def audited(self, event: str) -> list[dict[str, Any]]:
        """Rows of the audit log that tell of that event, oldest first."""
        rows = self._rows(select(t.audit).where(t.audit.c.event == event).order_by(t.audit.c.seq))
        return [dict(row._mapping) for row in rows]

    def audit_page(
        self,
        wanted: Mapping[str, str],
        since: str,
        until: str,
        words: str,
        before: int | None,
        limit: int,
        quiet: Collection[str] = (),
    ) -> tuple[list[dict[str, Any]], int]:
        """Rows of the audit log, newest first, and how many there are in all. wanted: column -> value; since, until: text of times, "" for open;
        words: somewhere in reason or subject; before: only rows with a lower `seq` (the next page; it does not change the number in all); quiet:
        events that are left out."""
        c = t.audit.c
        given = [t.audit.c[name] == value for name, value in wanted.items()]
        given += [c.event.not_in(sorted(quiet))] if quiet else []
        given += [c.at >= since] if since else []
        given += [c.at < until] if until else []
        if words:
            given.append(or_(c.reason.icontains(words, autoescape=True), c.subject.icontains(words, autoescape=True)))
        total = int(self._rows(select(func.count()).select_from(t.audit).where(*given))[0][0])
        older = [c.seq < before] if before is not None else []
        rows = self._rows(select(t.audit).where(*given, *older).order_by(c.seq.desc()).limit(limit))
        return [dict(row._mapping) for row in rows], total

    def audit_names(self) -> dict[str, list[str]]:
        """Who acted and what was done, as far as the audit log tells."""
        c = t.audit.c
        return {
            column.name: sorted(str(row[0]) for row in self._rows(select(column).distinct()))
            for column in (c.actor, c.event)
        }

    def newest_time(self) -> datetime | None:
        """The newest moment that was recorded of any decision, block or version of a rollout; None while there is nothing."""
        columns = (t.audit.c.at, t.ledger.c.closed_at, t.stages.c.started_at)
        newest = [row[0] for column in columns for row in self._rows(select(func.max(column))) if row[0] is not None]
        return from_text(max(newest)) if newest else None

    def newest_ledger_batch(self) -> int:
        """The newest ingest batch that any of the last closed blocks was judged with; 0 while none is closed."""
        rows = self._rows(select(t.ledger.c.last_batch).order_by(t.ledger.c.seq.desc()).limit(LEDGER_TAIL))
        return max((int(row.last_batch) for row in rows), default=0)

    def facts_head(self) -> FactsHead | None:
        """The newest ingest batch that blocks were judged with, with what it was; None while none was recorded."""
        rows = self._rows(select(t.facts_head))
        return FactsHead(rows[0].batch_id, rows[0].identity, from_text(rows[0].recorded_at)) if rows else None

    def fired_rows(self, rollout_id: str) -> list[dict[str, Any]]:
        """Ledger rows of a rollout in which a stream fired, newest first, with counts and readings as plain values."""
        c = t.ledger.c
        fired = (c.rollout_id == rollout_id, c.readings.contains('"fired":true'))
        rows = [dict(row._mapping) for row in self._rows(select(t.ledger).where(*fired).order_by(c.seq.desc()))]
        return [row | {name: json.loads(row[name]) for name in ("counts", "readings")} for row in rows]

    def has_message(self, outbox_id: str) -> bool:
        """Whether a message with that id was ever written."""
        c = t.outbox.c
        return bool(self._rows(select(c.outbox_id).where(c.outbox_id == outbox_id)))


class GovernanceWriter(GovernanceReader):
    """What can be written."""

    @abstractmethod
    def _transaction(self, *, visible: bool = True, fenced: bool = True) -> AbstractContextManager[Connection]: ...

    def add_override(self, item: Override, policy_hash: str) -> None:
        """Set a trigger aside, with the audit row that says who, why and until when. Raises LostRace for an id that is taken."""
        row = _row(item, ADDED, item.actor, item.reason, item.started_at) | {"until": to_text(item.until)}
        payload = {"override_id": item.override_id, "trigger": item.trigger, "until": row["until"]}
        audit = AuditEntry(item.actor, "override_added", item.rollout_id, item.reason, payload)
        self._write_override(row, audit, policy_hash, item.started_at)

    def end_override(self, item: Override, actor: str, reason: str, policy_hash: str, now: datetime) -> None:
        """End an override before its time. Raises LostRace when somebody has ended it already."""
        row = _row(item, ENDED, actor, reason, now)
        payload = {"override_id": item.override_id, "trigger": item.trigger}
        self._write_override(
            row, AuditEntry(actor, "override_ended", item.rollout_id, reason, payload), policy_hash, now
        )

    def _write_override(self, row: dict[str, Any], audit: AuditEntry, policy_hash: str, now: datetime) -> None:
        c = t.overrides.c
        with self._transaction() as connection:
            same = (c.override_id == row["override_id"], c.event == row["event"])
            if connection.execute(select(c.seq).where(*same)).first() is not None:
                raise LostRace(f"override {row['override_id']} is {row['event']} already")
            connection.execute(insert(t.overrides).values(**row))
            append_audit(connection, audit, policy_hash, now)


def _row(item: Override, event: str, actor: str, reason: str, at: datetime) -> dict[str, Any]:
    named = {"override_id": item.override_id, "rollout_id": item.rollout_id, "trigger": item.trigger}
    return {**named, "event": event, "actor": actor, "reason": reason, "at": to_text(at)}


def _override(row: Any, end: Any) -> Override:
    return Override(
        override_id=row.override_id,
        rollout_id=row.rollout_id,
        trigger=row.trigger,
        actor=row.actor,
        reason=row.reason,
        started_at=from_text(row.at),
        until=from_text(row.until),
        ended_at=None if end is None else from_text(end.at),
        ended_by="" if end is None else end.actor,
    )
