"""Counts of closed blocks for the decision engine: one set-based query per metric family, however many blocks and streams.

Rules
- Conversation and request metrics count units only (see `controlplane.store.units`); the units must be closed up to the end
  asked for. Call and evaluation metrics count every call or judged answer of the rollout's eligible conversations.
- An outcome counts only if it was known within the maturity after the conversation's start (evaluations: after the answer),
  the last instant included: comparing "answers so far" favours the arm that answers later.
- Conversation blocks are placed by the conversation's start, the others by the time of the request, call or judged answer.
- Every block in [start, end) of every stream has a row, of zeros when there was nothing.
- With a `shadow` salt the two arms are the two halves of the control arm's customers, for the A/A check.
- Only rows around the window are read: outcomes sit on the conversation, and its members are sought at most two days after
  its start, so the cost follows the window, not the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from controlplane.core.metrics import ALL_SEGMENTS, Family, Metric, metric
from controlplane.core.model import BlockCounts, MetricKind
from controlplane.store.queries import load
from controlplane.store.units import closed_until
from controlplane.store.utc import to_aware, to_naive
from controlplane.store.warehouse import Warehouse

if TYPE_CHECKING:
    import duckdb

# A conversation may have turns, calls and judged answers until two days after its start; a call may be stamped up to an hour
# before the first turn is logged. The same bounds stand in the queries row by row, so that a count never depends on the window.
MEMBER_AFTER = timedelta(days=2)
MEMBER_BEFORE = timedelta(hours=1)
FIRST_REQUEST_WITHIN = timedelta(hours=1)
JUDGED_BEFORE = timedelta(days=1)  # clocks of evaluators may be behind

Levels = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class CountSpec:
    """What one trigger or certificate wants counted: blocks of `span_seconds`, labels final after `maturity_seconds`.

    `slo_ms` belongs to `slow_share` only, `cap_usd` to `costly_share`. `segments` are counted besides all traffic. `labels`: of
    evaluations, "any" or only those of a "person". `shadow`: the salt by which the control arm is split in two, "" for the arms themselves.
    """

    metric: str
    kind: MetricKind
    span_seconds: int
    maturity_seconds: int
    slo_ms: float | None
    segments: tuple[str, ...]
    rollout_id: str
    release: str
    labels: str = "any"
    shadow: str = ""
    cap_usd: float | None = None


Counted = dict[tuple[CountSpec, str], list[BlockCounts]]
"""Counts by spec and segment, the blocks in order."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """One spec on one segment."""

    spec: CountSpec
    family: Family
    segment: str


@dataclass(frozen=True, slots=True)
class _Window:
    start: datetime  # naive UTC, as the warehouse has it
    end: datetime


class UnitsNotClosed(ValueError):
    """Counts were asked for a block whose units are not decided yet; a row of zeros would hide that."""


def block_counts(warehouse: Warehouse, specs: Sequence[CountSpec], start: datetime, end: datetime) -> list[BlockCounts]:
    """Counts of all blocks in [start, end), ordered by (metric, segment, start).

    Equal specs are counted once. Raises ValueError for a spec that can't be counted or a window that is no whole number of
    blocks, UnitsNotClosed when `close_units` has not reached `end` for a rollout whose units are asked for.
    """
    _check_distinct(specs)
    rows = [row for blocks in counted(warehouse, specs, start, end).values() for row in blocks]
    return sorted(rows, key=lambda row: (row.metric, row.segment, row.start, row.span_seconds))


def counted(warehouse: Warehouse, specs: Sequence[CountSpec], start: datetime, end: datetime) -> Counted:
    """As `block_counts`, by spec and segment; specs may be ways to count one metric that their rows alone don't tell apart."""
    streams = _streams(specs)
    for stream in streams:
        _check_window(stream.spec, start, end)
    window = _Window(to_naive(start), to_naive(end))
    with warehouse.transaction() as cursor:
        _check_units(cursor, streams, end)
        last_batch = int(cursor.execute(load("rollups/last_batch")).fetchall()[0][0])
        found: dict[tuple[int, int], tuple[int, ...]] = {}
        for family in Family:
            found |= _count_family(cursor, family, streams, window)
    begin = to_aware(window.start)
    return {
        (stream.spec, stream.segment): [
            _block(stream, begin, block, found.get((number, block)), last_batch)
            for block in range(_blocks(stream.spec, start, end))
        ]
        for number, stream in enumerate(streams)
    }


def new_unit_counts(
    warehouse: Warehouse, rollout_id: str, span_seconds: int, start: datetime, end: datetime, since: datetime
) -> list[BlockCounts]:
    """Customers that are new to the rollout per block of [start, end), in order: `n_t`, `n_c`. None from before `since` counts.

    Raises UnitsNotClosed as `block_counts` does.
    """
    values = {"rollout_id": rollout_id, "start": to_naive(start), "end": to_naive(end)}
    with warehouse.transaction() as cursor:
        _check_closed(cursor, {rollout_id}, end)
        last_batch = int(cursor.execute(load("rollups/last_batch")).fetchall()[0][0])
        more = {"span": span_seconds, "since": to_naive(since)}
        rows = cursor.execute(load("rollups/count_new_units"), values | more).fetchall()
    found = {int(block): (int(n_t), int(n_c)) for block, n_t, n_c in rows}
    span = timedelta(seconds=span_seconds)
    return [
        BlockCounts("units", ALL_SEGMENTS, start + block * span, span_seconds, n_t=n_t, n_c=n_c, last_batch=last_batch)
        for block in range((end - start) // span)
        for n_t, n_c in [found.get(block, (0, 0))]
    ]


def _check_distinct(specs: Iterable[CountSpec]) -> None:
    kept: dict[tuple[str, int], CountSpec] = {}
    for spec in specs:
        other = kept.setdefault((spec.metric, spec.span_seconds), spec)
        if other != spec:
            raise ValueError(
                f"two ways to count {spec.metric} in blocks of {spec.span_seconds} s would give rows that can't be "
                f"told apart: {other} and {spec}; ask for them in two calls"
            )


def _streams(specs: Iterable[CountSpec]) -> list[_Stream]:
    streams = []
    for spec in dict.fromkeys(specs):
        entry = _check_spec(spec)
        streams += [_Stream(spec, entry.family, name) for name in (ALL_SEGMENTS, *dict.fromkeys(spec.segments))]
    return streams


def _check_spec(spec: CountSpec) -> Metric:
    entry = metric(spec.metric)
    if not entry.decides:
        raise ValueError(f"{spec.metric} is for display only; no block counts it")
    if (spec.kind is MetricKind.RATING) != (entry.kind is MetricKind.RATING):
        raise ValueError(f"{spec.metric} can't be counted as {spec.kind.value}; the catalogue says {entry.kind.value}")
    if (spec.metric == "slow_share") != (spec.slo_ms is not None):
        raise ValueError(f"{spec.metric}: slo_ms belongs to slow_share and only there")
    if (spec.metric == "costly_share") != (spec.cap_usd is not None):
        raise ValueError(f"{spec.metric}: cap_usd belongs to costly_share and only there")
    if spec.span_seconds <= 0 or spec.maturity_seconds < 0:
        raise ValueError(f"{spec.metric}: a block of {spec.span_seconds} s with maturity {spec.maturity_seconds} s")
    if spec.labels not in ("any", "person"):
        raise ValueError(f"{spec.metric}: labels are '{spec.labels}'; count those of 'any' or of a 'person'")
    if ALL_SEGMENTS in spec.segments:
        raise ValueError(f"{spec.metric}: '{ALL_SEGMENTS}' means all traffic and can't name a segment")
    return entry


def _check_window(spec: CountSpec, start: datetime, end: datetime) -> None:
    if start.microsecond or end < start or (end - start) % timedelta(seconds=spec.span_seconds):
        raise ValueError(
            f"{spec.metric}: {start.isoformat()}..{end.isoformat()} is no whole number of {spec.span_seconds} s blocks "
            "from a whole second"
        )


def _check_units(cursor: duckdb.DuckDBPyConnection, streams: list[_Stream], end: datetime) -> None:
    needing = {s.spec.rollout_id for s in streams if s.family in (Family.CONVERSATION, Family.REQUEST)}
    _check_closed(cursor, needing, end)


def _check_closed(cursor: duckdb.DuckDBPyConnection, needing: set[str], end: datetime) -> None:
    closed = closed_until(cursor) if needing else {}
    for rollout_id in sorted(needing):
        until = closed.get(rollout_id)
        if until is None or until < end:
            reached = "not at all" if until is None else f"up to {until.isoformat()}"
            raise UnitsNotClosed(
                f"units of rollout {rollout_id} are closed {reached}, counts are asked up to {end.isoformat()}; "
                "call close_units first"
            )


def _blocks(spec: CountSpec, start: datetime, end: datetime) -> int:
    return (end - start) // timedelta(seconds=spec.span_seconds)


def _count_family(
    cursor: duckdb.DuckDBPyConnection, family: Family, streams: list[_Stream], window: _Window
) -> dict[tuple[int, int], tuple[int, ...]]:
    """(stream number, block number) -> n_t, x_t, n_c, x_c and, for conversations, the ten rating counts."""
    mine = [(number, stream) for number, stream in enumerate(streams) if stream.family is family]
    if not mine:
        return {}
    query, parameters = _QUERIES[family]
    rows = cursor.execute(load(query), parameters(mine, window)).fetchall()
    return {(int(row[0]), int(row[1])): tuple(int(count) for count in row[2:]) for row in rows}


Numbered = list[tuple[int, _Stream]]


def _base(streams: Numbered, window: _Window) -> dict[str, object]:
    return {
        "stream": [number for number, _ in streams],
        "metric": [stream.spec.metric for _, stream in streams],
        "segment": [stream.segment for _, stream in streams],
        "span": [stream.spec.span_seconds for _, stream in streams],
        "rollout_id": [stream.spec.rollout_id for _, stream in streams],
        "release": [stream.spec.release for _, stream in streams],
        "shadow": [stream.spec.shadow for _, stream in streams],
        "start": window.start,
        "end": window.end,
    }


def _maturity(streams: Numbered) -> list[int]:
    return [stream.spec.maturity_seconds for _, stream in streams]


def _conversations(streams: Numbered, window: _Window) -> dict[str, object]:
    # A start can move earlier when a turn arrives late, so the conversation is sought a little before its unit.
    bounds = {"maturity": _maturity(streams), "member_since": window.start - MEMBER_AFTER}
    return _base(streams, window) | bounds


def _requests(streams: Numbered, window: _Window) -> dict[str, object]:
    bounds = {
        "slo_ms": [stream.spec.slo_ms for _, stream in streams],
        "cap_usd": [stream.spec.cap_usd for _, stream in streams],
        "unit_since": window.start - FIRST_REQUEST_WITHIN,
    }
    return _base(streams, window) | bounds


def _calls(streams: Numbered, window: _Window) -> dict[str, object]:
    bounds = {"member_since": window.start - MEMBER_AFTER, "member_until": window.end + MEMBER_BEFORE}
    return _base(streams, window) | bounds


def _evaluations(streams: Numbered, window: _Window) -> dict[str, object]:
    maturity = _maturity(streams)
    bounds = {
        "maturity": maturity,
        "labels": [stream.spec.labels for _, stream in streams],
        "judged_since": window.start - JUDGED_BEFORE,
        "judged_until": window.end + timedelta(seconds=max(maturity)),
    }
    return _calls(streams, window) | bounds


_QUERIES: dict[Family, tuple[str, Callable[[Numbered, _Window], dict[str, object]]]] = {
    Family.CONVERSATION: ("rollups/count_conversations", _conversations),
    Family.REQUEST: ("rollups/count_requests", _requests),
    Family.CALL: ("rollups/count_calls", _calls),
    Family.EVALUATION: ("rollups/count_evaluations", _evaluations),
}


def _block(
    stream: _Stream, start: datetime, block: int, counts: tuple[int, ...] | None, last_batch: int
) -> BlockCounts:
    n_t, x_t, n_c, x_c, *levels = counts or (0, 0, 0, 0)
    levels = levels or [0] * 10
    return BlockCounts(
        metric=stream.spec.metric,
        segment=stream.segment,
        start=start + block * timedelta(seconds=stream.spec.span_seconds),
        span_seconds=stream.spec.span_seconds,
        n_t=n_t,
        x_t=x_t,
        n_c=n_c,
        x_c=x_c,
        k_t=cast(Levels, tuple(levels[:5])),
        k_c=cast(Levels, tuple(levels[5:])),
        last_batch=last_batch,
    )
