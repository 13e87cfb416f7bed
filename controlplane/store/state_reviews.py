"""The review queue in the state database: draws, items, who looks at what, what they said, who decided between them.

Parts of `StateReader` and `StateWriter`. Nothing is ever changed or removed; every person's act has its audit row in the same transaction.
What a second person may not see before their own label is a rule of `jobs.review_work`, not of these tables.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, or_, select

from controlplane.core.audit import canonical
from controlplane.core.review_queue import Item, Opinion
from controlplane.store import state_review_tables as r
from controlplane.store import state_tables as t
from controlplane.store.state_append import LostRace, append_audit
from controlplane.store.state_rows import AuditEntry, from_text, to_text

DRAWN_EVENT, ASSIGNED_EVENT = "review_drawn", "review_assigned"
LABELLED_EVENT, ADJUDICATED_EVENT = "review_labelled", "review_adjudicated"


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw from the answers with since <= time < until (since None: from the beginning); `design` says with which probabilities."""

    draw_id: str
    since: datetime | None
    until: datetime
    actor: str
    drawn_at: datetime
    frame: int
    design: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who looks at an item first (round 1) or second (round 2)."""

    item_id: str
    round: int
    reviewer: str
    assigned_by: str
    assigned_at: datetime


class ReviewReader(ABC):
    """Reads; part of `StateReader`, which knows how."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]:
        """Rows of one statement."""

    def review_draws(self) -> list[Draw]:
        """All draws, oldest first."""
        rows = self._rows(select(r.review_draws).order_by(r.review_draws.c.seq))
        return [_draw(row) for row in rows]

    def review_items(self) -> list[Item]:
        """All items in the order in which they were drawn."""
        return [_item(row) for row in self._rows(select(r.review_items).order_by(r.review_items.c.seq))]

    def review_assignments(self) -> list[Assignment]:
        """All assignments, oldest first."""
        rows = self._rows(select(r.review_assignments).order_by(r.review_assignments.c.seq))
        return [
            Assignment(row.item_id, row.round, row.reviewer, row.assigned_by, from_text(row.assigned_at))
            for row in rows
        ]

    def review_opinions(self) -> dict[str, dict[int, Opinion]]:
        """What counts of what was said: the newest opinion of each round, by item and round."""
        found: dict[str, dict[int, Opinion]] = {}
        for row in self._rows(select(r.review_opinions).order_by(r.review_opinions.c.seq)):
            found.setdefault(row.item_id, {})[row.round] = _opinion(row)
        return found

    def review_adjudications(self) -> dict[str, Opinion]:
        """What was decided between two people, by item."""
        rows = self._rows(select(r.review_adjudications).order_by(r.review_adjudications.c.seq))
        return {row.item_id: _opinion(row) for row in rows}

    def review_returned(self) -> set[str]:
        """Items whose evaluations have landed."""
        return {row.item_id for row in self._rows(select(r.review_returns.c.item_id))}

    def authors_of(self, release: str | None, rollout_id: str | None) -> set[str]:
        """Who made a release, by its name or by the rollout that served it."""
        c = t.releases.c
        served = select(t.rollouts.c.release_hash).where(t.rollouts.c.rollout_id == (rollout_id or ""))
        rows = self._rows(select(c.author).where(or_(c.release == (release or ""), c.release_hash.in_(served))))
        return {str(row.author) for row in rows if row.author}


class ReviewWriter(ReviewReader):
    """Changes; part of `StateWriter`, which knows how to write."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """One transaction that may change the state; it is undone by an exception."""

    def add_review_draw(self, draw: Draw, items: Sequence[Item], after: str | None) -> None:
        """Keep a draw with its items. Raises LostRace when another draw than `after` is the newest: the spans would overlap."""
        c = r.review_draws.c
        with self._transaction() as connection:
            newest = connection.execute(select(c.draw_id).order_by(c.seq.desc()).limit(1)).first()
            if (None if newest is None else newest.draw_id) != after:
                raise LostRace("somebody else has drawn answers meanwhile: try again")
            row = {"draw_id": draw.draw_id, "since": None if draw.since is None else to_text(draw.since)}
            more = {"until": to_text(draw.until), "actor": draw.actor, "drawn_at": to_text(draw.drawn_at)}
            connection.execute(
                insert(r.review_draws).values(**row, **more, frame=draw.frame, design=canonical(draw.design))
            )
            if items:
                connection.execute(insert(r.review_items), [_item_values(item) for item in items])
            said = row | {"until": more["until"], "frame": draw.frame, "items": len(items), "design": draw.design}
            reason = f"{len(items)} of {draw.frame} answers drawn for review"
            append_audit(connection, AuditEntry(draw.actor, DRAWN_EVENT, draw.draw_id, reason, said), "", draw.drawn_at)

    def add_review_assignments(self, found: Sequence[Assignment]) -> None:
        """Give items to a person, one audit row for all. Raises LostRace where one was given to somebody else meanwhile."""
        if not found:
            return
        c = r.review_assignments.c
        first = found[0]
        with self._transaction() as connection:
            for one in found:
                taken = or_(c.round == one.round, c.reviewer == one.reviewer)
                if connection.execute(select(c.seq).where(c.item_id == one.item_id, taken)).first() is not None:
                    raise LostRace(f"item {one.item_id} was given to somebody meanwhile: try again")
                values = {name: getattr(one, name) for name in ("item_id", "round", "reviewer", "assigned_by")}
                connection.execute(insert(r.review_assignments).values(**values, assigned_at=to_text(one.assigned_at)))
            said = {"items": {one.item_id: one.round for one in found}}
            entry = AuditEntry(first.assigned_by, ASSIGNED_EVENT, first.reviewer, f"{len(found)} items", said)
            append_audit(connection, entry, "", first.assigned_at)

    def add_review_opinion(self, item_id: str, round_: int, opinion: Opinion, known: Mapping[int, Opinion]) -> None:
        """Record what a person said about an item of which `known` (by round) had been said. Raises LostRace when it is more by now.

        Else two labels that are given at the same moment would both be taken for the one that settles the item.
        """
        self._say(r.review_opinions, LABELLED_EVENT, item_id, {"round": round_}, opinion, known)

    def add_review_adjudication(self, item_id: str, role: str, opinion: Opinion) -> None:
        """Record what was decided about an item, once. Raises LostRace for one that is decided."""
        self._say(r.review_adjudications, ADJUDICATED_EVENT, item_id, {"role": role}, opinion)

    def record_review_returns(self, counts: dict[str, int], now: datetime) -> None:
        """Mark items as returned to the landing folder (kept once), with how many evaluations each gave."""
        c = r.review_returns.c
        with self._transaction() as connection:
            done = {row.item_id for row in connection.execute(select(c.item_id))}
            rows = [
                {"item_id": key, "evaluations": count, "at": to_text(now)}
                for key, count in counts.items()
                if key not in done
            ]
            if rows:
                connection.execute(insert(r.review_returns), rows)

    def _say(
        self,
        table: Table,
        event: str,
        item_id: str,
        more: dict[str, Any],
        opinion: Opinion,
        known: Mapping[int, Opinion] | None = None,
    ) -> None:
        c = r.review_adjudications.c
        said = {name: getattr(opinion, name) for name in ("label", "intent", "grounded", "severity", "note")}
        with self._transaction() as connection:
            if connection.execute(select(c.seq).where(c.item_id == item_id)).first() is not None:
                raise LostRace(f"item {item_id} is decided already")
            if known is not None and _newest(connection, item_id) != known:
                raise LostRace(f"somebody has labelled item {item_id} meanwhile: look at it again")
            values = {"item_id": item_id, "reviewer": opinion.reviewer, **more, **said}
            connection.execute(insert(table).values(**values, at=to_text(opinion.at)))
            entry = AuditEntry(opinion.reviewer, event, item_id, opinion.note or opinion.label, {**more, **said})
            append_audit(connection, entry, "", opinion.at)


def _newest(connection: Connection, item_id: str) -> dict[int, Opinion]:
    c = r.review_opinions.c
    rows = connection.execute(select(r.review_opinions).where(c.item_id == item_id).order_by(c.seq))
    return {row.round: _opinion(row) for row in rows}


def _draw(row: Any) -> Draw:
    since = None if row.since is None else from_text(row.since)
    return Draw(
        row.draw_id, since, from_text(row.until), row.actor, from_text(row.drawn_at), row.frame, json.loads(row.design)
    )


_PLAIN = (
    *("item_id", "draw_id", "interaction_id", "conversation_id", "rollout_id", "release", "intent_pred", "stratum"),
    *("probability", "audit_rate", "wanted"),
)


def _item(row: Any) -> Item:
    values: dict[str, Any] = {name: getattr(row, name) for name in _PLAIN}
    values |= {name: from_text(getattr(row, name)) for name in ("answered_at", "drawn_at")}
    return Item(**values, reasons=tuple(json.loads(row.reasons)))


def _item_values(item: Item) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(item, name) for name in _PLAIN}
    times = {name: to_text(getattr(item, name)) for name in ("answered_at", "drawn_at")}
    return {**values, **times, "reasons": canonical(list(item.reasons))}


def _opinion(row: Any) -> Opinion:
    return Opinion(row.reviewer, row.label, from_text(row.at), row.intent, row.grounded, row.severity, row.note)
