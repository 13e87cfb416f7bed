"""The numbers of a window counted again from the facts by given queries, beside the kept ones: what a changed definition would have shown.

The queries of sql/rollups run into tables of this session alone (a temporary table hides the kept one of its name), so nothing that is kept changes
and nothing waits. Piece by piece, a day at a time, as the rollups themselves are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from controlplane.core.metrics import CONTACT_WINDOW
from controlplane.store.block_counts import MEMBER_AFTER, MEMBER_BEFORE
from controlplane.store.queries import load
from controlplane.store.rollups import WindowSum
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb

Sql = Callable[[str], str]
PIECE = timedelta(days=1)
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


class WindowNumbers:
    """Sums and quantiles of one window, kept or counted again; of eligible conversations, as everywhere that compares."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, since: datetime, until: datetime, sql: Sql) -> None:
        self._cursor, self._sql = cursor, sql
        self._window = {"since": to_naive(since), "until": to_naive(until), "everyone": False}
        self._sums: dict[str, list[WindowSum]] = {}

    def sums(self, query: str = "views/window") -> list[WindowSum]:
        """Sums of every metric by arm, by a query with the parameters of `views/window`."""
        if query not in self._sums:
            more = {"release": None, "phase": None, "segment": None}
            rows = self._cursor.execute(self._sql(query), {**self._window, **more}).fetchall()
            self._sums[query] = [WindowSum(*row) for row in rows]
        return self._sums[query]

    def quantile(self, query: str, quantile: float) -> dict[str, tuple[int, float]]:
        """(n, value) by arm of a quantile, by a query with the parameters of `views/latency_quantiles`."""
        rows = self._cursor.execute(self._sql(query), {**self._window, "quantiles": [quantile]}).fetchall()
        return {str(arm): (int(n), float(value)) for _, arm, n, value in rows}


@contextmanager
def kept(warehouse: Warehouse, since: datetime, until: datetime, sql: Sql = load) -> Iterator[WindowNumbers]:
    """The numbers as they are kept."""
    cursor = warehouse.cursor()
    try:
        yield WindowNumbers(cursor, since, until, sql)
    finally:
        cursor.close()


@contextmanager
def recounted(
    warehouse: Warehouse,
    since: datetime,
    until: datetime,
    sql: Sql = load,
    contact_window: timedelta = CONTACT_WINDOW,
    done: Callable[[float], None] = lambda _share: None,
) -> Iterator[WindowNumbers]:
    """The numbers counted from the facts of [since, until), whole minutes. `done` hears which share is counted (0..1)."""
    cursor = warehouse.cursor()
    try:
        cursor.execute(load("metric/scratch_create"))
        whole = {"since": to_naive(since), "until": to_naive(until)}
        days = [row[0] for row in cursor.execute(load("metric/days"), whole).fetchall()]
        for number, day in enumerate(days, 1):
            piece = {"since": max(day, whole["since"]), "until": min(day + PIECE, whole["until"])}
            _count(cursor, piece, sql, contact_window)
            done(number / len(days))
        yield WindowNumbers(cursor, since, until, sql)
    finally:
        cursor.close()


def _count(
    cursor: duckdb.DuckDBPyConnection, piece: Mapping[str, datetime], sql: Sql, contact_window: timedelta
) -> None:
    cursor.execute(load("metric/scratch_minutes"), dict(piece))
    span = {"since": piece["since"], "until": piece["until"] - _MINUTE}  # of these queries the last minute is inside
    members = span | {
        "member_since": span["since"] - MEMBER_AFTER - _HOUR,
        "member_until": span["until"] + MEMBER_BEFORE + _HOUR,
    }
    contact: dict[str, Any] = {"contact_seconds": int(contact_window.total_seconds())}
    cursor.execute(sql("rollups/conversations_insert"), {**span, **contact})
    for name in COUNTED_BY_MEMBERS:
        cursor.execute(sql(name), members)
    cursor.execute(load("metric/scratch_clear"))


COUNTED_BY_MEMBERS: Sequence[str] = (
    "rollups/requests_insert",
    "rollups/calls_insert",
    "rollups/model_insert",
    "rollups/latency_insert",
    "rollups/evaluations_insert",
)
