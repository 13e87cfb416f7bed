"""Judge what has closed: read -> pure -> record.

One run closes every block whose labels are mature, steps the evidence, and records blocks, evidence and at most one decision in
one state transaction by compare-and-swap. A lost race re-reads and decides again; nothing is written twice, because a closed
block is unique in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from controlplane.core import judge
from controlplane.core.blocks import Block, Lane, StageEvent, closable, lanes, let_go, spans
from controlplane.core.gates import GateFacts, GateResult, judge_gate
from controlplane.core.model import BlockCounts, Decision, Rollout, TriggerReading
from controlplane.core.policy import Certificate, Policy, Trigger
from controlplane.core.triggers import ALL, CertificateStanding, CountKey, last_block, latched_beyond_page, step_lane
from controlplane.store.block_counts import CountSpec, block_counts
from controlplane.store.queries import load
from controlplane.store.rollups import watermark
from controlplane.store.state import StateReader
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import Commit, LaneState, LedgerEntry
from controlplane.store.units import close_units, units_closed_until
from controlplane.store.utc import to_naive as utc
from jobs import reviews
from jobs.decisions import automatic_commit, counts_json, reading_json
from jobs.deps import Deps

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one run saw and did."""

    rollout: Rollout | None
    decision: Decision | None = None
    readings: tuple[TriggerReading, ...] = ()
    watermark: datetime | None = None
    fresh: bool = False
    blocks: int = 0


@dataclass
class _Closing:
    """What the lanes of one run add up to."""

    ledger: list[LedgerEntry] = field(default_factory=list)
    lanes: list[LaneState] = field(default_factory=list)
    readings: list[TriggerReading] = field(default_factory=list)


def run(deps: Deps, now: datetime) -> Evaluation:
    """Close, judge and record. Raises LostRace only after several lost races in a row."""
    for attempt in range(ATTEMPTS):
        try:
            return _evaluate(deps, now)
        except LostRace:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _evaluate(deps: Deps, now: datetime) -> Evaluation:
    rollout = deps.state.rollout()
    if rollout is None:
        return Evaluation(None)
    mark = watermark(deps.warehouse, deps.policy.watch.lateness_seconds)
    history = stage_events(deps, rollout)
    fresh = is_fresh(deps.policy, rollout, mark, now)
    closing = _Closing()
    if mark is not None:
        _close_units(deps, rollout, history, mark)
        for lane in lanes(deps.policy):
            _close_lane(deps, rollout, lane, history, mark, closing)
    latched = any(latched_beyond_page(deps.policy, state) for state in _states(deps, rollout, closing))
    decision = judge.decide(rollout, deps.policy, closing.readings, fresh=fresh, now=now, latched=latched)
    after = _record(deps, rollout, closing, decision, now)
    return Evaluation(after, decision, tuple(closing.readings), mark, fresh, len(closing.ledger))


def _states(deps: Deps, rollout: Rollout, closing: _Closing) -> list[dict[str, Any]]:
    """The lanes' states after this run."""
    stored = deps.state.lanes(rollout.rollout_id) | {lane.lane: lane for lane in closing.lanes}
    return [lane.state for lane in stored.values()]


def is_fresh(policy: Policy, rollout: Rollout, mark: datetime | None, now: datetime) -> bool:
    """Whether data is young enough to judge by; a stage that has just begun is given the same time to produce some."""
    limit = timedelta(seconds=policy.watch.freshness_seconds)
    newest = rollout.stage_started_at if mark is None else max(mark, rollout.stage_started_at)
    return now - newest <= limit


def stage_events(deps: Deps, rollout: Rollout) -> list[StageEvent]:
    """The rollout's history as the block grid reads it."""
    return stage_events_of(deps.state, rollout)


def stage_events_of(state: StateReader, rollout: Rollout) -> list[StageEvent]:
    """As `stage_events`, where only the state is at hand."""
    rows = state.stages(rollout.rollout_id)
    return [StageEvent(row.version, row.event, row.state, row.started_at) for row in rows]


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
    deps: Deps, rollout: Rollout, lane: Lane, history: Sequence[StageEvent], mark: datetime, closing: _Closing
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


def _record(deps: Deps, rollout: Rollout, closing: _Closing, decision: Decision | None, now: datetime) -> Rollout:
    after = rollout
    commit = Commit()
    if decision is not None:
        fired = [reading for reading in closing.readings if reading.fired]
        latest = {(reading.trigger, reading.segment): reading for reading in fired}
        exposed = customers_exposed(deps, fired, now) if fired else None
        from jobs.estimates import (
            estimates_since,
        )  # SciPy's distributions take seconds to import; a healthy tick needs none

        estimates = estimates_since(deps, rollout, closing.ledger, latest.values())
        commit, after = automatic_commit(
            decision, rollout, deps.policy, list(latest.values()), exposed, estimates, deps.dashboard_url
        )
    if closing.ledger or decision is not None:
        deps.state.commit(replace(commit, ledger=closing.ledger, lanes=closing.lanes), now)
    return after


def customers_exposed(deps: Deps, fired: Sequence[TriggerReading], until: datetime) -> int:
    """Customers served by the assistant from the earliest likely onset to `until`."""
    since = min((reading.onset or reading.block_start) for reading in fired)
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(
            load("decisions/customers_exposed"), {"since": utc(since), "until": utc(until)}
        ).fetchall()
    return int(rows[0][0])


def standings(deps: Deps, rollout: Rollout) -> dict[str, CertificateStanding]:
    """Where each certificate of the rollout's current stage stands; a lane that has not closed a block of it gives nothing."""
    found: dict[str, CertificateStanding] = {}
    stage_version = current_stage_version(deps, rollout)
    for lane in deps.state.lanes(rollout.rollout_id).values():
        if int(lane.state.get("last", {}).get("version", -1)) != stage_version:
            continue
        for name, plain in lane.state.get("standings", {}).items():
            found[name] = CertificateStanding(**plain)
    return found


def current_stage_version(deps: Deps, rollout: Rollout) -> int:
    """Version at which the current stage began."""
    return spans(stage_events(deps, rollout))[-1].version


def gate(deps: Deps, rollout: Rollout, now: datetime, extra_approver: str | None = None) -> GateResult:
    """The gate out of the rollout's stage; `extra_approver` is counted as if that person had approved."""
    key = stage_key(rollout.rollout_id, current_stage_version(deps, rollout))
    with deps.warehouse.cursor() as cursor:
        treated = int(cursor.execute(load("decisions/treated_units"), {"stage_key": key}).fetchall()[0][0])
    approvers = set(deps.state.approvals(rollout)) | ({extra_approver} if extra_approver else set())
    mark = watermark(deps.warehouse, deps.policy.watch.lateness_seconds)
    facts = GateFacts(
        now=now,
        treated=treated,
        standings=standings(deps, rollout),
        approvers=tuple(sorted(approvers)),
        author=deps.state.author(rollout.release_hash) or "",
        fired=deps.state.has_fired(rollout.rollout_id),
        fresh=is_fresh(deps.policy, rollout, mark, now),
        reviewed=reviews.gate_lines(deps, rollout, spans(stage_events(deps, rollout))[-1]),
    )
    return judge_gate(rollout, deps.policy.phase(rollout.phase), facts)
