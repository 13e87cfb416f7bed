"""Keeps the rollups up to date, and reads what decisions need from them.

Rules
- Rollups are display only. They are sums per minute (latency, intents, safety: per hour) over facts, so any window is a sum of rows.
- Ingest leaves the minutes a batch touched in `touched_minutes`. `refresh` recomputes the minutes that became stale and
  clears the list in the same transaction: running it twice, or after a crash at any point, gives the same rows.
- What one new row makes stale: its own minute and that of its conversation's start (ingest touches both); the minutes of
  every row of its conversation when it is a turn or an exposure (arm, release and segment come from the conversation); the
  minute of the judged answer when it is an evaluation. A minute put into `touched_minutes` under batch 0 is recomputed in
  every family: `touch` does that after facts were deleted or corrected.
- Rows go in ordered by time, so that a later run finds the stale ones without reading the rest.
- Work follows the new rows: each lookup is bounded in time by what the new rows name. One case searches the whole history:
  an evaluation of an answer that is older than three days or not there.
- Decisions take counts from `block_counts` over units that `close_units` decided; both are offered here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from controlplane.core.metrics import CONTACT_WINDOW
from controlplane.store.block_counts import (
    MEMBER_AFTER,
    MEMBER_BEFORE,
    CountSpec,
    UnitsNotClosed,
    block_counts,
)
from controlplane.store.queries import load
from controlplane.store.units import BlockOrderError, UnitsClosed, close_units, units_closed_until
from controlplane.store.utc import to_aware, to_naive
from controlplane.store.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "BlockOrderError",
    "CountSpec",
    "Freshness",
    "Refreshed",
    "UnitsClosed",
    "UnitsNotClosed",
    "WindowSum",
    "block_counts",
    "close_units",
    "failed_checks",
    "freshness",
    "refresh",
    "touch",
    "units_closed_until",
    "watermark",
    "window_sums",
]

JUDGED_WITHIN = timedelta(days=3)
SLICE_MINUTES = 1440  # recomputed at a time, so that a long import needs no more memory than a day
BY_HAND = 0  # the batch of minutes that nobody ingested, but somebody asked to recompute
CHECKS = (
    "traffic_agrees",
    "requests_agree",
    "services_agree",
    "intents_agree",
    "safety_agrees",
    "sums_possible",
    "units_once",
    "units_add_up",
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as the warehouse has it
_FOREVER = datetime(9999, 1, 1)  # noqa: DTZ001

Range = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: the batches it covered (0, 0 when none waited) and the minutes recomputed, over all families."""

    first_batch: int
    last_batch: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a source has come. `age_seconds` counts from the newest time it told; None when it never told one."""

    source: str
    live: bool
    last_ts: datetime | None
    last_seen: datetime
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class WindowSum:
    """Sums of one metric of one arm over a window; `controlplane.core.metrics.Metric.value` turns them into a number."""

    metric: str
    arm: str
    n: int
    x: int
    total: float
    total_sq: float


def refresh(warehouse: Warehouse, now: datetime) -> Refreshed:
    """Recompute what the waiting batches made stale, in one transaction; `now` is remembered as the time of the run."""
    with warehouse.transaction() as cursor:
        first, last, _ = cursor.execute(load("rollups/pending_range")).fetchall()[0]
        if first is None:
            return Refreshed(0, 0, 0)
        batches = {"first_batch": int(first), "last_batch": int(last)}
        _mark_stale(cursor, batches)
        minutes = _recompute(cursor)
        cursor.execute(load("rollups/pending_clear"))
        cursor.execute(load("rollups/runs_insert"), {"rolled_at": to_naive(now), **batches, "minutes": minutes})
        return Refreshed(**batches, minutes=minutes)


def touch(warehouse: Warehouse, minutes: Iterable[datetime]) -> None:
    """Ask that the next refresh recomputes these minutes in every family: after facts were removed or corrected."""
    with warehouse.transaction() as cursor:
        cursor.execute(
            load("rollups/touch"), {"minutes": [to_naive(minute) for minute in minutes], "batch_id": BY_HAND}
        )


def watermark(warehouse: Warehouse, lateness_seconds: int) -> datetime | None:
    """The time up to which every live source has told all it will: the slowest one's newest time minus the lateness.

    None when there is no live source, or one that never told a time: then no block may close.
    """
    live, silent, slowest = _read(warehouse, "rollups/watermark")[0]
    if not live or silent:
        return None
    return to_aware(slowest) - timedelta(seconds=lateness_seconds)


def freshness(warehouse: Warehouse, now: datetime) -> list[Freshness]:
    """Every source with the age of its newest time, ordered by name."""
    return [
        Freshness(
            source=source,
            live=live,
            last_ts=to_aware(last_ts) if last_ts else None,
            last_seen=to_aware(last_seen),
            age_seconds=(now - to_aware(last_ts)).total_seconds() if last_ts else None,
        )
        for source, live, last_ts, last_seen in _read(warehouse, "rollups/freshness")
    ]


def window_sums(
    warehouse: Warehouse,
    since: datetime,
    until: datetime,
    *,
    everyone: bool = False,
    release: str | None = None,
    phase: str | None = None,
    segment: str | None = None,
) -> list[WindowSum]:
    """Sums of every metric per arm over the minutes in [since, until).

    Of eligible conversations only, because only they compare; `everyone` adds the others (for volumes and costs).
    """
    parameters = {"since": to_naive(since), "until": to_naive(until), "everyone": everyone}
    parameters |= {"release": release, "phase": phase, "segment": segment}
    return [WindowSum(*row) for row in _read(warehouse, "views/window", parameters)]


def failed_checks(warehouse: Warehouse, since: datetime, until: datetime) -> dict[str, list[tuple[object, ...]]]:
    """The rows that break a rule of sql/checks in [since, until), per check; empty when everything agrees."""
    parameters = {"since": to_naive(since), "until": to_naive(until)}
    found = {name: _read(warehouse, f"checks/{name}", parameters) for name in CHECKS}
    return {name: rows for name, rows in found.items() if rows}


def _read(warehouse: Warehouse, query: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
    cursor = warehouse.cursor()
    try:
        return cursor.execute(load(query), dict(parameters or {})).fetchall()
    finally:
        cursor.close()


def _mark_stale(cursor: duckdb.DuckDBPyConnection, batches: dict[str, int]) -> None:
    """Fill the temporary table of stale minutes per family."""
    cursor.execute(load("rollups/pending_create"))
    cursor.execute(load("rollups/changed_create"), batches)
    since, until = _changed_span(cursor, batches)
    cursor.execute(load("rollups/stale_create"), {**batches, "since": since, "until": until})
    cursor.execute(load("rollups/judged_create"), batches)
    if _find_judged(cursor):
        cursor.execute(load("rollups/stale_judged"))


def _changed_span(cursor: duckdb.DuckDBPyConnection, batches: dict[str, int]) -> Range:
    """From when to when the conversations with new turns or exposures may have rows."""
    first, last = cursor.execute(load("rollups/changed_span"), batches).fetchall()[0]
    return (_EPOCH, _EPOCH) if first is None else (first - MEMBER_BEFORE, last + MEMBER_AFTER)


def _find_judged(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Find when the newly judged answers were given, looking back three days, then everywhere; False if none is new."""
    subjects, first, last = cursor.execute(load("rollups/judged_range")).fetchall()[0]
    if not subjects:
        return False
    near: Range = (first - JUDGED_WITHIN, last + timedelta(days=1))
    for since, until in (near, (_EPOCH, _FOREVER)):
        cursor.execute(load("rollups/judged_find"), {"since": since, "until": until})
        if cursor.execute(load("rollups/judged_found")).fetchall()[0][0] >= subjects:
            break
    return True


def _recompute(cursor: duckdb.DuckDBPyConnection) -> int:
    """Replace the stale minutes of every family; how many there were."""
    total = 0
    for family, first, last, minutes in cursor.execute(
        load("rollups/stale_slices"), {"slice": SLICE_MINUTES}
    ).fetchall():
        span = {"since": first, "until": last}
        cursor.execute(load("rollups/minute_delete"), {**span, "family": family})
        _INSERTS[family](cursor, span)
        total += minutes
    return total


def _insert_conversations(cursor: duckdb.DuckDBPyConnection, span: dict[str, datetime]) -> None:
    seconds = int(CONTACT_WINDOW.total_seconds())
    cursor.execute(load("rollups/conversations_insert"), {**span, "contact_seconds": seconds})
    cursor.execute(load("rollups/safety_delete"), {**span, "family": "conversation"})
    cursor.execute(load("rollups/safety_screened_insert"), span)


def _insert_activity(cursor: duckdb.DuckDBPyConnection, span: dict[str, datetime]) -> None:
    members = _with_members(span)
    cursor.execute(load("rollups/requests_insert"), members)
    cursor.execute(load("rollups/calls_insert"), members)
    cursor.execute(load("rollups/model_delete"), span)
    cursor.execute(load("rollups/model_insert"), members)
    cursor.execute(load("rollups/latency_delete"), span)
    cursor.execute(load("rollups/latency_insert"), members)
    cursor.execute(load("rollups/service_delete"), span)
    cursor.execute(load("rollups/service_insert"), members)


def _insert_evaluations(cursor: duckdb.DuckDBPyConnection, span: dict[str, datetime]) -> None:
    members = _with_members(span)
    cursor.execute(load("rollups/evaluations_insert"), members)
    cursor.execute(load("rollups/intents_delete"), span)
    cursor.execute(load("rollups/intents_insert"), members)
    cursor.execute(load("rollups/safety_delete"), {**span, "family": "evaluation"})
    cursor.execute(load("rollups/safety_audited_insert"), members)


def _with_members(span: dict[str, datetime]) -> dict[str, datetime]:
    """The span with bounds for the conversations of its rows; whole hours, because latency is kept by the hour."""
    hour = timedelta(hours=1)
    return {
        **span,
        "member_since": span["since"] - MEMBER_AFTER - hour,
        "member_until": span["until"] + MEMBER_BEFORE + hour,
    }


_INSERTS = {
    "conversation": _insert_conversations,
    "activity": _insert_activity,
    "evaluation": _insert_evaluations,
}
