"""Units of the comparison: which conversations count, decided once, when their start block closes.

Rules
- A unit is the first eligible conversation per customer, arm, stage and calendar week (ISO, UTC). All sessions of repeat
  customers would make one angry customer look like many; per stage alone, most traffic no longer counts after a month.
- Eligible: it has a customer, an arm and a start, was not excluded before assignment, and does not belong to another rollout
  or, in the treated arm, to another release. What a producer leaves out (rollout, release, eligibility) is taken as fitting.
- Blocks close once and in order. Within a block the order is (start, conversation id). What is decided is never recomputed.
- Each conversation that does not count is kept with its reason in `unit_exclusions`. One that arrives after its block closed
  is `late`: it is recorded by the next close and never becomes a unit.
- One transaction per close: a crash leaves the block closed or open, never half.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from controlplane.store.queries import load
from controlplane.store.utc import to_aware, to_naive
from controlplane.store.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb


class BlockOrderError(ValueError):
    """A start block that is empty, overlaps a closed one, or lies before it."""


@dataclass(frozen=True, slots=True)
class UnitsClosed:
    """Conversations of a closed start block: `counted` as units, `repeat` visits, and `ineligible` ones.

    `late` are conversations of earlier blocks that this close found too late to count.
    """

    counted: int
    repeat: int
    late: int
    ineligible: int


@dataclass(frozen=True, slots=True)
class _Block:
    """A start block [start, end) of a stage, times in naive UTC."""

    rollout_id: str
    stage_key: str
    start: datetime
    end: datetime

    @property
    def span(self) -> dict[str, object]:
        return {"start": self.start, "end": self.end, "rollout_id": self.rollout_id}

    @property
    def week_start(self) -> datetime:
        """Midnight of the Monday before the start."""
        return datetime.combine(self.start.date() - timedelta(days=self.start.weekday()), datetime.min.time())

    def __str__(self) -> str:
        return f"the start block {self.start.isoformat()}Z..{self.end.isoformat()}Z of rollout {self.rollout_id}"


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a rollout's blocks are closed; times in naive UTC."""

    opened_at: datetime
    closed_until: datetime
    last_batch: int


def close_units(
    warehouse: Warehouse,
    start: datetime,
    end: datetime,
    stage_key: str,
    stage_started_at: datetime,
    *,
    rollout_id: str,
    release: str,
) -> UnitsClosed:
    """Decide the units among the conversations that started in [start, end), for good.

    Closing the same block again changes nothing and returns what the first close did. Raises BlockOrderError for a block
    that overlaps or precedes a closed one of this rollout.
    """
    block = _Block(rollout_id, stage_key, to_naive(start), to_naive(end))
    if start >= end:
        raise BlockOrderError(f"{block} is empty")
    with warehouse.transaction() as cursor:
        progress = _progress(cursor, rollout_id)
        if progress is not None and block.start < progress.closed_until:
            return _closed_before(cursor, block, progress)
        late = 0 if progress is None else _record_late(cursor, block, progress)
        _decide(cursor, block, release, to_naive(stage_started_at))
        return _remember(cursor, block, late, first=progress is None)


def units_closed_until(warehouse: Warehouse) -> dict[str, datetime]:
    """Per rollout, the end of its last closed start block."""
    cursor = warehouse.cursor()
    try:
        return closed_until(cursor)
    finally:
        cursor.close()


def closed_until(cursor: duckdb.DuckDBPyConnection) -> dict[str, datetime]:
    """As `units_closed_until`, inside the transaction of `cursor`."""
    rows = cursor.execute(load("rollups/units_closed_until")).fetchall()
    return {str(rollout_id): to_aware(until) for rollout_id, until in rows}


def _progress(cursor: duckdb.DuckDBPyConnection, rollout_id: str) -> _Progress | None:
    rows = cursor.execute(load("rollups/unit_progress"), {"rollout_id": rollout_id}).fetchall()
    return _Progress(*rows[0]) if rows else None


def _closed_before(cursor: duckdb.DuckDBPyConnection, block: _Block, progress: _Progress) -> UnitsClosed:
    """What the close of this very block did. Raises BlockOrderError if it was another one."""
    rows = cursor.execute(load("rollups/unit_block"), {**block.span, "stage_key": block.stage_key}).fetchall()
    if not rows:
        raise BlockOrderError(
            f"{block} begins before {progress.closed_until.isoformat()}Z, up to where its blocks are closed; "
            "closed blocks are never recomputed"
        )
    counted, repeats, late, ineligible = rows[0]
    return UnitsClosed(counted=counted, repeat=repeats, late=late, ineligible=ineligible)


def _record_late(cursor: duckdb.DuckDBPyConnection, block: _Block, progress: _Progress) -> int:
    """Exclude what came too late for earlier blocks of the rollout; how many there were."""
    seen = {"opened_at": progress.opened_at, "start": block.start, "seen_batch": progress.last_batch}
    cursor.execute(load("rollups/late_candidates_create"), seen)
    earliest = cursor.execute(load("rollups/late_range")).fetchall()[0][0]
    if earliest is None:
        return 0
    inserted = cursor.execute(load("rollups/late_insert"), {"rollout_id": block.rollout_id, "earliest": earliest})
    return int(inserted.fetchall()[0][0])


def _decide(cursor: duckdb.DuckDBPyConnection, block: _Block, release: str, stage_started_at: datetime) -> None:
    """Write the units and exclusions of the block."""
    cursor.execute(
        load("rollups/unit_candidates_create"), {**block.span, "release": release, "stage_started_at": stage_started_at}
    )
    stage = {"start": block.start, "rollout_id": block.rollout_id, "stage_key": block.stage_key}
    cursor.execute(load("rollups/units_insert"), {**stage, "week_start": block.week_start})
    cursor.execute(load("rollups/unit_exclusions_insert"), {**stage, "end": block.end})


def _remember(cursor: duckdb.DuckDBPyConnection, block: _Block, late: int, first: bool) -> UnitsClosed:
    """Write the row of the closed block from what was decided, and how far the rollout has come."""
    counted, repeats, ineligible = cursor.execute(load("rollups/unit_block_counts"), block.span).fetchall()[0]
    last_batch = cursor.execute(load("rollups/last_batch")).fetchall()[0][0]
    counts = {"counted": counted, "repeats": repeats, "late": late, "ineligible": ineligible}
    row = {**block.span, "stage_key": block.stage_key, "last_batch": last_batch, **counts}
    cursor.execute(load("rollups/unit_blocks_insert"), row)
    progress = {"rollout_id": block.rollout_id, "end": block.end, "last_batch": last_batch}
    if first:
        cursor.execute(load("rollups/unit_progress_insert"), {**progress, "start": block.start})
    else:
        cursor.execute(load("rollups/unit_progress_update"), progress)
    return UnitsClosed(counted=counted, repeat=repeats, late=late, ineligible=ineligible)
