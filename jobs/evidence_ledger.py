"""The evidence ledger taken step by step again: from the counts of each row to its readings, as the engine takes them when a block closes.

What is known of the past is the ledger itself, the policies by their hash, and the rollout's history. The engine is the one that runs live
(`controlplane.core.triggers.step_blocks`), so what is verified is what decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from math import isclose
from typing import Any

from controlplane.core.blocks import Block, Lane, StageEvent, closable, let_go
from controlplane.core.model import BlockCounts, TriggerReading
from controlplane.core.policy import Policy
from controlplane.core.policy_switch import POLICY, SINCE, all_lanes, under
from controlplane.core.streams import KNOWING
from controlplane.core.triggers import BEFORE_POLICY, VOID, CountKey, LaneRun, last_block, step_blocks
from controlplane.store.state_rows import LaneState, from_text
from jobs.closing import standing_json, under_policy
from jobs.decisions import reading_json

TOLERANCE = 1e-9
END_OF_TIME = datetime(9990, 1, 1, tzinfo=UTC)
Row = Mapping[str, Any]
States = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that does not come out again: where, what the record says, what the replay says. `explained`: why that is right, or ""."""

    what: str  # chain | history | grid | counts | evidence | state | decision
    rollout_id: str
    where: str
    stream: str
    recorded: str
    replayed: str
    explained: str = ""

    def text(self) -> str:
        """One line for people."""
        tail = f" ({self.explained})" if self.explained else ""
        return f"{self.what}: {self.rollout_id} {self.where} {self.stream}: recorded {self.recorded}, replayed {self.replayed}{tail}"


@dataclass(frozen=True, slots=True)
class Closed:
    """Blocks of one lane that closed in one heartbeat, as replayed; `rows` are their ledger rows, `void` the streams that had no say."""

    policy: Policy
    lane: Lane
    closed_at: datetime
    blocks: tuple[Block, ...]
    rows: tuple[Row, ...]
    readings: tuple[tuple[TriggerReading, ...], ...]
    void: tuple[frozenset[CountKey], ...]
    standing: Mapping[str, Any]  # of the lane after it: its last block and what has fired


@dataclass
class Replayed:
    """What came of the ledger of one rollout."""

    closed: list[Closed] = field(default_factory=list)
    states: States = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    readings: int = 0


def replay(
    rollout_id: str,
    rows: Sequence[Row],
    history: Sequence[StageEvent],
    policy_of: Callable[[str], Policy],
    advance: Callable[[int], None],
) -> Replayed:
    """Take every ledger row of a rollout again, in order. `advance` hears how many rows are done."""
    result, first = Replayed(), _FirstOnly()
    for (closed_at, lane_key, policy_hash), group in groupby(rows, key=_heartbeat):
        of_lane = list(group)
        policy, moment = policy_of(policy_hash), from_text(closed_at)
        lane = {lane.key: lane for lane in all_lanes(policy)}.get(lane_key)
        if lane is None or lane_key in first.broken:
            if lane_key not in first.broken:
                first.broken.add(lane_key)
                where = f"{lane_key}@{of_lane[0]['block_start']}"
                result.differences.append(Difference("grid", rollout_id, where, lane_key, "a block", "no such lane"))
            advance(len(of_lane))
            continue
        taken = _take(rollout_id, lane, policy, of_lane, history, moment, result.states)
        if isinstance(taken, Difference):
            first.broken.add(lane_key)
            result.differences.append(taken)
        else:
            result.differences += first.of(taken.differences)
            result.closed.append(taken.closed)
            result.states = taken.states
            result.readings += sum(len(readings) for readings in taken.closed.readings)
        advance(len(of_lane))
    result.differences += first.more()
    return result


def _heartbeat(row: Row) -> tuple[str, str, str]:
    return row["closed_at"], row["lane"], row["policy_hash"]


class _FirstOnly:
    """One wrong count moves the evidence of its stream in every later block: only the first is told, and how many follow."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self._seen: dict[tuple[str, str], tuple[Difference, int]] = {}

    def of(self, found: Sequence[Difference]) -> list[Difference]:
        new = []
        for one in found:
            key = (one.where.split("@")[0], one.stream)
            if key not in self._seen:
                new.append(one)
                self._seen[key] = (one, 0)
            else:
                self._seen[key] = (self._seen[key][0], self._seen[key][1] + 1)
        return new

    def more(self) -> Iterator[Difference]:
        for first, later in self._seen.values():
            if later:
                where = first.where.split("@")[0]
                yield Difference(
                    "evidence", first.rollout_id, where, first.stream, "as above", f"{later} later readings differ, too"
                )


@dataclass(frozen=True, slots=True)
class _Taken:
    closed: Closed
    states: States
    differences: list[Difference]


def _take(
    rollout_id: str,
    lane: Lane,
    policy: Policy,
    rows: Sequence[Row],
    history: Sequence[StageEvent],
    closed_at: datetime,
    states: States,
) -> _Taken | Difference:
    """One heartbeat's blocks of a lane. What happened in the very instant of the heartbeat was before or after it: the record shows which."""
    best: _Taken | None = None
    before = [row for row in history if row.started_at < closed_at]
    upto = [row for row in history if row.started_at <= closed_at]
    for known in [before] if len(before) == len(upto) else [before, upto]:
        taken = _take_knowing(rollout_id, lane, policy, rows, known, closed_at, states) if known else None
        if taken is not None and (best is None or len(taken.differences) < len(best.differences)):
            best = taken
        if best is not None and not best.differences:
            break
    if best is not None:
        return best
    first = rows[0]
    said = f"{len(rows)} block(s) from there, {first['span_seconds']} s the first"
    where = f"{lane.key}@{first['block_start']}"
    return Difference("grid", rollout_id, where, lane.key, said, "other blocks follow from the history")


def _take_knowing(
    rollout_id: str,
    lane: Lane,
    policy: Policy,
    rows: Sequence[Row],
    history: Sequence[StageEvent],
    closed_at: datetime,
    states: States,
) -> _Taken | None:
    """None when the history does not give the blocks of these rows."""
    states = under_policy(states, policy, history)
    state = states.get(lane.key, {})
    since = datetime.fromisoformat(state[SINCE]) if SINCE in state else None
    blocks = closable(history, lane, last_block(state), END_OF_TIME, len(rows), since)
    spans = [(block.start, round((block.end - block.start).total_seconds())) for block in blocks]
    if spans != [(from_text(row["block_start"]), row["span_seconds"]) for row in rows]:
        return None
    counts = [counts_of(row) for row in rows]
    try:
        run = step_blocks(policy, lane, state, blocks, counts, let_go(history))
    except KeyError as missing:
        where = f"{lane.key}@{rows[0]['block_start']}"
        gone = Difference(
            "counts", rollout_id, where, str(missing), "no counts of this stream", "a stream of the policy"
        )
        closed = Closed(policy, lane, closed_at, (), (), (), (), {})
        return _Taken(closed, states, [gone])
    differences = [
        difference
        for row, readings in zip(rows, run.readings, strict=True)
        for difference in _compare(rollout_id, row, readings)
    ]
    standings = {item.name: standing_json(item) for item in run.standings[-1]}
    after = under(policy, {**run.state, "standings": standings})
    standing = {name: after[name] for name in ("fired", "last", KNOWING) if name in after}
    void = _void(run)
    closed = Closed(policy, lane, closed_at, tuple(blocks), tuple(rows), run.readings, void, standing)
    return _Taken(closed, {**states, lane.key: after}, differences)


def _void(run: LaneRun) -> tuple[frozenset[CountKey], ...]:
    return tuple(
        frozenset((r.trigger, r.segment) for r in readings if r.reason in (VOID, BEFORE_POLICY))
        for readings in run.readings
    )


def counts_of(row: Row) -> dict[CountKey, BlockCounts]:
    """The counts of a ledger row by stream and segment."""
    none = (0, 0, 0, 0, 0)
    start = from_text(row["block_start"])
    return {
        (item["stream"], item["segment"]): BlockCounts(
            metric=item["metric"],
            segment=item["segment"],
            start=start,
            span_seconds=row["span_seconds"],
            n_t=item["nT"],
            x_t=item["xT"],
            n_c=item["nC"],
            x_c=item["xC"],
            k_t=tuple(item.get("kT", none)),
            k_c=tuple(item.get("kC", none)),
            last_batch=row["last_batch"],
        )
        for item in json.loads(row["counts"])
    }


def _compare(rollout_id: str, row: Row, readings: Sequence[TriggerReading]) -> Iterator[Difference]:
    """Every reading of a row against what the replay reads: evidence and thresholds to 1e-9, everything else exactly."""
    recorded = {(item["trigger"], item["segment"]): item for item in json.loads(row["readings"])}
    replayed = {(one.trigger, one.segment): reading_json(one) for one in readings}
    where = f"{row['lane']}@{row['block_start']}"
    for key in sorted(recorded.keys() | replayed.keys()):
        stream = "|".join(key)
        said, found = recorded.get(key), replayed.get(key)
        if said is None or found is None:
            there, not_there = "a reading", "none"
            pair = (there, not_there) if said else (not_there, there)
            yield Difference("evidence", rollout_id, where, stream, *pair)
            continue
        named = sorted(said.keys() | (found.keys() - ONLY_LATER))
        wrong = [name for name in named if not alike(said.get(name), found.get(name))]
        if wrong:
            yield Difference("evidence", rollout_id, where, stream, _named(said, wrong), _named(found, wrong))


def _named(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {values.get(name)}" for name in names)


def alike(recorded: Any, replayed: Any) -> bool:
    """Numbers to 1e-9 (relative above 1), everything else exactly; of a dictionary the names that are recorded."""
    if isinstance(recorded, Mapping) and isinstance(replayed, Mapping):
        return all(alike(value, replayed.get(name)) for name, value in recorded.items())
    if isinstance(recorded, list | tuple) and isinstance(replayed, list | tuple):
        same = len(recorded) == len(replayed)
        return same and all(alike(a, b) for a, b in zip(recorded, replayed, strict=True))
    if isinstance(recorded, float) or isinstance(replayed, float):
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (recorded, replayed))
        return numbers and isclose(recorded, replayed, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(recorded == replayed)


ONLY_LATER = frozenset({"exact"})
"""Of a reading what older versions did not write."""
SHAPE = frozenset({"onset", "plan", "tests"})
"""Of a stored state what only older versions wrote in this form; the readings have the onsets that were shown."""


def compare_states(rollout_id: str, stored: Mapping[str, LaneState], replayed: States) -> Iterator[Difference]:
    """The detectors' state as it is stored against what the ledger gives.

    A state with a note of its policy has every name that the replay has; one from before such notes may lack what was not written then.
    """
    for lane in sorted(stored.keys() | replayed.keys()):
        state, found = stored[lane].state if lane in stored else {}, replayed.get(lane, {})
        if lane not in stored:
            yield Difference("state", rollout_id, lane, "the lane", "no stored state", "one follows from the ledger")
            continue
        whole = POLICY in state
        for key in sorted(state.keys() | (found.keys() if whole else set())):
            value, again = _content(state.get(key)), _content(found.get(key))
            if not (alike(value, again) and (not whole or alike(again, value))):
                yield Difference(
                    "state", rollout_id, lane, key, "the stored state", "another one follows from the ledger"
                )
        last = last_block(found)
        if last is not None and stored[lane].closed_until != last.end:
            said = f"closed until {stored[lane].closed_until.isoformat()}"
            yield Difference("state", rollout_id, lane, "the lane", said, f"closed until {last.end.isoformat()}")


def _content(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {name: _content(one) for name, one in value.items() if name not in SHAPE}
