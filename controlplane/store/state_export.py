"""The state read out row by row, in one transaction: what an evidence pack is written from, however long the history.

Nothing is held but one row at a time. All of it is read as it stood at one moment, whoever writes meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, func, select

from controlplane.core.audit import GENESIS, ChainBreak, verify
from controlplane.store import state_tables as t
from controlplane.store.state import StateReader

BATCH = 500

Row = dict[str, Any]


class StateStream(StateReader):
    """Rows of the state in the order that is asked for, from one moment."""

    _connection: Connection | None = None

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Everything read inside is as it was when this began."""
        engine = self._engine
        if engine.dialect.name != "sqlite":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with engine.begin() as connection:
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    def stream(
        self, table: Table, conditions: Sequence[ColumnElement[bool]], order: Sequence[Column[Any]]
    ) -> Iterator[Row]:
        """The table's rows as plain values. Raises RuntimeError outside of `moment`."""
        statement = select(table).where(*conditions).order_by(*order)
        found = self._within().execution_options(stream_results=True, yield_per=BATCH).execute(statement)
        for row in found:
            yield dict(row._mapping)

    def values(self, column: Column[Any], conditions: Sequence[ColumnElement[bool]]) -> set[Any]:
        """The different values of a column."""
        return {row[0] for row in self._within().execute(select(column).where(*conditions).distinct())}

    def count(self, table: Table, conditions: Sequence[ColumnElement[bool]]) -> int:
        """How many rows there are."""
        statement = select(func.count()).select_from(table).where(*conditions)
        return int(self._within().execute(statement).scalar() or 0)

    def segment(self, table: Table, time: Column[Any], since: str, until: str) -> tuple[int, int]:
        """First and last `seq` of the part of a chain that the period needs: from its first row to its last one, whatever lies between, so that
        the part is in one piece also where a clock was set back. (1, 0) where the period has none."""
        low = select(func.min(table.c.seq)).where(time >= since, time < until)
        high = select(func.max(table.c.seq)).where(time >= since, time < until)
        first, last = self._within().execute(low).scalar(), self._within().execute(high).scalar()
        return (1, 0) if first is None or last is None else (int(first), int(last))

    def head_before(self, table: Table, time: Column[Any], since: str, first: int, last: int) -> str:
        """Hash of the row before a segment; of an empty one, of the last row before the period; GENESIS where there is none."""
        before = table.c.seq < first if first <= last else time < since
        statement = select(table.c.hash).where(before).order_by(table.c.seq.desc()).limit(1)
        found = self._within().execute(statement).scalar()
        return GENESIS if found is None else str(found)

    def broken(self, table: Table, last: int) -> ChainBreak | None:
        """The first break of a chain from its beginning up to `last`."""
        return verify(self.stream(table, (table.c.seq <= last,), (table.c.seq,)))

    def schema(self) -> int:
        """The schema of the state."""
        return int(self._within().execute(select(func.max(t.schema_version.c.version))).scalar() or 0)

    def _within(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("rows are streamed inside of StateStream.moment()")
        return self._connection


def decoded(row: Mapping[str, Any], columns: Sequence[str]) -> Row:
    """The row with these columns read as JSON; NULL stays None, and what is no JSON stays text."""
    found = dict(row)
    for name in columns:
        value = found.get(name)
        if isinstance(value, str):
            try:
                found[name] = json.loads(value)
            except ValueError:
                continue
    return found
