"""Close what is mature: units are decided, blocks are counted, evidence takes its steps. Reads facts and state; what it yields is recorded by
`jobs.evaluate` in one transaction with the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.blocks import (
    POLICY_CHANGE,
    Block,
    Lane,
    StageEvent,
    closable,
    completed_at,
    let_go,
    next_close,
    quarter_of,
    spans,
)
from controlplane.core.model import BlockCounts, MetricKind, Rollout, TriggerReading
from controlplane.core.policy import Certificate, Policy, Trigger
from controlplane.core.policy_switch import SINCE, all_lanes, begun, is_under, switch, under
from controlplane.core.streams import streams_of
from controlplane.core.triggers import ALL, CertificateStanding, CountKey, last_block, step_blocks
from controlplane.core.validity import AA_SHADOW, SAMPLE_RATIO, Check, grace
from controlplane.store.block_counts import CountSpec, counted, new_unit_counts
from controlplane.store.state_rows import LaneState, LedgerEntry
from controlplane.store.units import close_units, units_closed_until
from controlplane.store.warehouse import Warehouse
from jobs.decisions import counts_json, reading_json
from jobs.deps import Deps

READINGS_AT_ONCE = 100_000
"""After a long downtime the blocks are caught up in several heartbeats, so that each stays within memory."""
CountsOfBlock = dict[CountKey, BlockCounts]


@dataclass
class Closing:
    """What the lanes of one run add up to. `stored`: the lanes before it, None where nothing was asked to close."""

    ledger: list[LedgerEntry] = field(default_factory=list)
    lanes: list[LaneState] = field(default_factory=list)
    readings: list[TriggerReading] = field(default_factory=list)
    stored: dict[str, LaneState] | None = None


def close(deps: Deps, rollout: Rollout, history: Sequence[StageEvent], mark: datetime, closing: Closing) -> None:
    """Close units and every lane's blocks up to the watermark `mark`; what comes of it is added to `closing`."""
    _close_units(deps, rollout, history, mark)
    stored = closing.stored = deps.state.lanes(rollout.rollout_id)
    states = {key: lane.state for key, lane in stored.items()}
    states = under_policy(states, deps.policy, history)
    for lane in all_lanes(deps.policy):
        _close_lane(deps, rollout, lane, history, mark, states.get(lane.key, {}), closing)
    if closing.ledger:  # all lanes at once: a later heartbeat must not find some of them under the policy before
        done = {lane.lane for lane in closing.lanes}
        for key, state in states.items():
            if key not in done and (key not in stored or stored[key].state != state):
                since = stored[key].closed_until if key in stored else history[0].started_at
                closing.lanes.append(LaneState(key, since, state))


def under_policy(
    states: dict[str, dict[str, Any]], policy: Policy, history: Sequence[StageEvent]
) -> dict[str, dict[str, Any]]:
    """The states of all lanes under the policy in force, switched to it where it has changed, begun where there are none."""
    if not is_under(states, policy, changed=any(row.event == POLICY_CHANGE for row in history)):
        changed_at = policy_changed_at(history)
        return switch(states, policy, changed_at, quarter_of(completed_at(history), changed_at))
    return states | begun(policy, states)


def closes_at(policy: Policy, history: Sequence[StageEvent], lanes: Mapping[str, LaneState]) -> datetime | None:
    """The watermark at which the next block of any lane closes, by the lanes as they are now; None where nobody is exposed."""
    found = []
    for lane in all_lanes(policy):
        state = lanes[lane.key].state if lane.key in lanes else {}
        since = datetime.fromisoformat(state[SINCE]) if SINCE in state else None
        found.append(next_close(history, lane, last_block(state), since))
    return min((moment for moment in found if moment is not None), default=None)


def policy_changed_at(history: Sequence[StageEvent]) -> datetime:
    """When the policy in force was put in force: its row in the history, else the newest row."""
    changes = [row.started_at for row in history if row.event == POLICY_CHANGE]
    return changes[-1] if changes else history[-1].started_at


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
    deps: Deps,
    rollout: Rollout,
    lane: Lane,
    history: Sequence[StageEvent],
    mark: datetime,
    state: dict[str, Any],
    closing: Closing,
) -> None:
    since = datetime.fromisoformat(state[SINCE]) if SINCE in state else None
    limit = max(50, READINGS_AT_ONCE // max(1, len(streams_of(deps.policy, lane))))
    blocks = closable(history, lane, last_block(state), mark, limit, since)
    if not blocks:
        return
    found = lane_counts(deps.warehouse, deps.policy, rollout, lane, blocks, history)
    counts = [found[block.start] for block in blocks]
    run = step_blocks(deps.policy, lane, state, blocks, counts, let_go(history))
    standings = {item.name: standing_json(item) for item in run.standings[-1]}
    for block, of_block, readings in zip(blocks, counts, run.readings, strict=True):
        closing.readings.extend(readings)
        closing.ledger.append(_ledger_entry(deps, rollout, lane, block, of_block, readings))
    after = under(deps.policy, {**run.state, "standings": standings})
    closing.lanes.append(LaneState(lane.key, blocks[-1].end, after))


def lane_counts(
    warehouse: Warehouse,
    policy: Policy,
    rollout: Rollout,
    lane: Lane,
    blocks: Sequence[Block],
    history: Sequence[StageEvent],
) -> dict[datetime, CountsOfBlock]:
    """Counts of every stream of the lane in every block, by the block's start; zeros where nothing was seen.

    Blocks of one stage and length are counted in one query; the block that a change cut short is counted by itself.
    """
    result: dict[datetime, CountsOfBlock] = {block.start: {} for block in blocks}
    starts = {span.version: span.start for span in spans(history)}
    for same in _runs(blocks):
        version, length = same[0].stage_version, same[0].end - same[0].start
        streams = list(_specs(policy, rollout, lane, length))
        found = counted(warehouse, list(dict.fromkeys(s for _, _, s in streams)), same[0].start, same[-1].end)
        of_streams = {(name, segment): found[spec, wanted] for (name, segment), wanted, spec in streams}
        for check in lane.checks:
            if check.name == SAMPLE_RATIO:
                window = (int(length.total_seconds()), same[0].start, same[-1].end, starts[version] + grace(policy))
                of_streams[check.name, ALL] = new_unit_counts(warehouse, rollout.rollout_id, *window)
        for key, rows in of_streams.items():
            for block, row in zip(same, rows, strict=True):
                result[block.start][key] = row
    return result


def _runs(blocks: Sequence[Block]) -> Iterable[list[Block]]:
    """Blocks of one stage and length without a gap."""
    run: list[Block] = []
    for block in blocks:
        kept = run[-1] if run else block
        whole = kept.stage_version == block.stage_version and kept.end - kept.start == block.end - block.start
        if run and not (whole and kept.end == block.start):
            yield run
            run = []
        run.append(block)
    yield run


def _specs(
    policy: Policy, rollout: Rollout, lane: Lane, length: timedelta
) -> Iterable[tuple[CountKey, str, CountSpec]]:
    """Per stream of the lane: its name and segment, the segment to be counted, and how. Streams of one metric share a spec."""
    items: tuple[Trigger | Certificate, ...] = (*lane.triggers, *lane.certificates)
    watched = policy.watch.segments

    def spec(item: Trigger | Certificate, shadow: str = "", segments: tuple[str, ...] = watched) -> CountSpec:
        trigger = item if isinstance(item, Trigger) else None
        return CountSpec(
            metric=item.metric,
            kind=item.kind,
            span_seconds=int(length.total_seconds()),
            maturity_seconds=int(lane.maturity.total_seconds()),
            slo_ms=trigger.slo_ms if trigger else None,
            cap_usd=trigger.cap_usd if trigger else None,
            segments=segments,
            rollout_id=rollout.rollout_id,
            release=rollout.release,
            labels=trigger.labels if trigger else "any",
            shadow=shadow,
        )

    for item in items:
        for segment in policy.segments_of(item) if isinstance(item, Trigger) else (ALL,):
            yield (item.name, segment), segment, spec(item)
    for check in lane.checks:
        if check.name == SAMPLE_RATIO:
            continue
        salt = f"{policy.assignment.salt}/{AA_SHADOW}/" if check.name == AA_SHADOW else ""
        yield (check.name, check.segment), ALL, spec(check.shadowed or _responses(check), salt, ())


def _responses(check: Check) -> Certificate:
    """The response rate in the form in which triggers and certificates say what is counted."""
    return Certificate(name=check.name, metric=check.metric, kind=MetricKind.TWO_SAMPLE, margin=check.limit)


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


def standing_json(item: CertificateStanding) -> dict[str, Any]:
    """How far a certificate has come, as the lane's state keeps it."""
    return {
        "name": item.name,
        "metric": item.metric,
        "margin": item.margin,
        "log_e": item.log_e,
        "log_threshold": item.log_threshold,
        "certified": item.certified,
        "blocks": item.blocks,
    }
