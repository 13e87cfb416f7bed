"""Judge what has closed: read -> pure -> record.

One run closes every block whose labels are mature, steps the evidence, and records blocks, evidence and at most one decision in
one state transaction by compare-and-swap. A lost race re-reads and decides again; nothing is written twice, because a closed
block is unique in the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from controlplane.core import judge
from controlplane.core.blocks import StageEvent, spans
from controlplane.core.gates import GateFacts, GateResult, judge_gate
from controlplane.core.model import Decision, Rollout, TriggerReading
from controlplane.core.policy import Policy
from controlplane.core.triggers import CertificateStanding, latched_beyond_page
from controlplane.store.queries import load
from controlplane.store.rollups import watermark
from controlplane.store.state import StateReader
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import Commit
from controlplane.store.utc import to_naive as utc
from jobs import reviews
from jobs.closing import Closing, close, stage_key
from jobs.decisions import automatic_commit
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
    closing = Closing()
    if mark is not None:
        close(deps, rollout, history, mark, closing)
    latched = any(latched_beyond_page(deps.policy, state) for state in _states(deps, rollout, closing))
    decision = judge.decide(rollout, deps.policy, closing.readings, fresh=fresh, now=now, latched=latched)
    after = _record(deps, rollout, closing, decision, now)
    return Evaluation(after, decision, tuple(closing.readings), mark, fresh, len(closing.ledger))


def _states(deps: Deps, rollout: Rollout, closing: Closing) -> list[dict[str, Any]]:
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


def _record(deps: Deps, rollout: Rollout, closing: Closing, decision: Decision | None, now: datetime) -> Rollout:
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
