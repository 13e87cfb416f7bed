"""Close what is mature: units are decided, blocks are counted, evidence takes its steps. Reads facts and state; what it yields is recorded by
`jobs.evaluate` in one transaction with the decision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from controlplane.core.blocks import Block, Lane, StageEvent, closable, lanes, let_go, spans
from controlplane.core.model import BlockCounts, Rollout, TriggerReading
from controlplane.core.policy import Certificate, Policy, Trigger
from controlplane.core.triggers import ALL, CertificateStanding, CountKey, last_block, step_lane
from controlplane.store.block_counts import CountSpec, block_counts
from controlplane.store.state_rows import LaneState, LedgerEntry
from controlplane.store.units import close_units, units_closed_until
from jobs.decisions import counts_json, reading_json
from jobs.deps import Deps


@dataclass
class Closing:
    """What the lanes of one run add up to."""

    ledger: list[LedgerEntry] = field(default_factory=list)
    lanes: list[LaneState] = field(default_factory=list)
    readings: list[TriggerReading] = field(default_factory=list)


def close(deps: Deps, rollout: Rollout, history: Sequence[StageEvent], mark: datetime, closing: Closing) -> None:
    """Close units and every lane's blocks up to the watermark `mark`; what comes of it is added to `closing`."""
    _close_units(deps, rollout, history, mark)
    for lane in lanes(deps.policy):
        _close_lane(deps, rollout, lane, history, mark, closing)


def stage_key(rollout_id: str, version: int) -> str:
    """Identity of one stage of one rollout: units are counted once per customer, arm, stage and week."""
    return f"{rollout_id}/{version}"


def _close_units(deps: Deps, rollout: Rollout, history: Sequence[StageEvent], mark: datetime) -> None:
    """Decide the units of everything that started before the watermark, span by span."""
    closed = units_closed_until(deps.warehouse).get(rollout.rollout_id)
    for span in spans(history):
        start = span.start if closed is None else max(span.start, closed)
        end = mark if span.end is None else min(mark, span.end)
        if span.exposed and start < end:
            key = stage_key(rollout.rollout_id, span.version)
            names = {"rollout_id": rollout.rollout_id, "release": rollout.release}
            close_units(deps.warehouse, start, end, key, span.start, **names)


def _close_lane(
    deps: Deps, rollout: Rollout, lane: Lane, history: Sequence[StageEvent], mark: datetime, closing: Closing
) -> None:
    stored = deps.state.lanes(rollout.rollout_id).get(lane.key)
    state: dict[str, Any] = {} if stored is None else stored.state
    blocks, released = closable(history, lane, last_block(state), mark), let_go(history)
    for _, group in groupby(blocks, key=lambda block: block.stage_version):
        of_span = list(group)
        counts = _counts(deps, rollout, lane, of_span)
        for block in of_span:
            step = step_lane(deps.policy, lane, state, block, counts[block.start], released)
            state = {**step.state, "standings": {item.name: _standing_json(item) for item in step.standings}}
            closing.readings.extend(step.readings)
            closing.ledger.append(_ledger_entry(deps, rollout, lane, block, counts[block.start], step.readings))
    if blocks:
        closing.lanes.append(LaneState(lane.key, blocks[-1].end, state))


def _counts(
    deps: Deps, rollout: Rollout, lane: Lane, blocks: Sequence[Block]
) -> dict[datetime, dict[CountKey, BlockCounts]]:
    """Counts of every stream of the lane in every block of one stage span; zeros where nothing was seen.

    Blocks of one length are counted in one query; the block that a share change cut short is counted by itself.
    """
    result: dict[datetime, dict[CountKey, BlockCounts]] = {block.start: {} for block in blocks}
    for length, of_length in groupby(blocks, key=lambda block: block.end - block.start):
        same = list(of_length)
        for specs, members in _spec_groups(deps, rollout, lane, length):
            found = block_counts(deps.warehouse, specs, same[0].start, same[-1].end)
            index = {(row.metric, row.segment, row.start): row for row in found}
            for block in same:
                for item in members:
                    for segment in (ALL, *deps.policy.watch.segments):
                        result[block.start][item.name, segment] = index[item.metric, segment, block.start]
    return result


def _spec_groups(
    deps: Deps, rollout: Rollout, lane: Lane, length: timedelta
) -> Iterable[tuple[list[CountSpec], list[Trigger | Certificate]]]:
    """Streams that can be counted in one query: two SLOs of one metric cannot."""
    streams: tuple[Trigger | Certificate, ...] = (*lane.triggers, *lane.certificates)
    for slo, group in groupby(sorted(streams, key=_slo), key=_slo):
        members = list(group)
        specs = {item.metric: _count_spec(item, lane, rollout, deps.policy, slo or None, length) for item in members}
        yield list(specs.values()), members


def _slo(item: Trigger | Certificate) -> float:
    return (item.slo_ms or 0.0) if isinstance(item, Trigger) else 0.0


def _count_spec(
    item: Trigger | Certificate, lane: Lane, rollout: Rollout, policy: Policy, slo: float | None, length: timedelta
) -> CountSpec:
    return CountSpec(
        metric=item.metric,
        kind=item.kind,
        span_seconds=int(length.total_seconds()),
        maturity_seconds=int(lane.maturity.total_seconds()),
        slo_ms=slo,
        segments=policy.watch.segments,
        rollout_id=rollout.rollout_id,
        release=rollout.release,
    )


def _ledger_entry(
    deps: Deps,
    rollout: Rollout,
    lane: Lane,
    block: Block,
    counts: dict[CountKey, BlockCounts],
    readings: Sequence[TriggerReading],
) -> LedgerEntry:
    used = counts | {(reading.trigger, reading.segment): reading.counts for reading in readings}
    rows = [counts_json(name, found) | {"segment": segment} for (name, segment), found in used.items()]
    return LedgerEntry(
        rollout_id=rollout.rollout_id,
        policy_hash=deps.policy.hash,
        lane=lane.key,
        block_start=block.start,
        span_seconds=int((block.end - block.start).total_seconds()),
        last_batch=max((found.last_batch for found in counts.values()), default=0),
        counts=rows,
        readings=[reading_json(reading) for reading in readings],
    )


def _standing_json(item: CertificateStanding) -> dict[str, Any]:
    return {
        "name": item.name,
        "metric": item.metric,
        "margin": item.margin,
        "log_e": item.log_e,
        "log_threshold": item.log_threshold,
        "certified": item.certified,
        "blocks": item.blocks,
    }
