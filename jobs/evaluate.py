"""Judge what has closed: read -> pure -> record.

One run closes every block whose labels are mature, steps the evidence, and records blocks, evidence and at most one decision in
one state transaction by compare-and-swap. A lost race re-reads and decides again; nothing is written twice, because a closed
block is unique in the ledger.

Facts that are older than the state close nothing: a block closes once, and would close without what was lost. Time never runs backwards here:
a clock that was set back is overruled by the newest thing that the rollout's row records.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controlplane.core import judge
from controlplane.core.blocks import StageEvent, spans
from controlplane.core.gates import GateFacts, GateResult, judge_gate
from controlplane.core.model import Decision, Rollout, TriggerReading
from controlplane.core.policy import Policy
from controlplane.core.silence import unheard
from controlplane.core.triggers import CertificateStanding, CountKey, last_block
from controlplane.store.queries import load
from controlplane.store.rollups import watermark
from controlplane.store.state import StateReader
from controlplane.store.state_append import LostRace
from controlplane.store.state_rows import CHANGES, Commit, FactsHead, LaneState, from_text
from controlplane.store.utc import to_naive as utc
from jobs import incident_join, pages, reviews
from jobs.closing import Closing, close, closes_at, stage_key
from jobs.compose import follow_policy
from jobs.decisions import automatic_commit, reading_of_ledger
from jobs.deps import Deps
from jobs.situation import cooldown_until, facts_behind, facts_head, silent, situation, told

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one run saw and did. `closes_at`: the watermark at which the next block closes, None where nobody is exposed."""

    rollout: Rollout | None
    decision: Decision | None = None
    readings: tuple[TriggerReading, ...] = ()
    watermark: datetime | None = None
    fresh: bool = False
    blocks: int = 0
    situation: judge.Situation | None = None
    closes_at: datetime | None = None


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
    follow_policy(deps)
    if deps.policy.hash != rollout.policy_hash:
        raise LostRace("the rollout was given another policy meanwhile")
    now = max(now, rollout.updated_at)
    mark = watermark(deps.warehouse, deps.policy.watch.lateness_seconds)
    history = stage_events(deps, rollout)
    fresh = is_fresh(deps.policy, rollout, mark, now)
    behind = facts_behind(deps, history)
    head = facts_head(deps, now)
    closing = Closing()
    if mark is not None and not behind:
        close(deps, rollout, history, mark, closing)
    lanes = _lanes(deps, rollout, closing)
    seen = situation(deps, rollout, lanes, history, now, fresh=fresh, behind=behind)
    readings: Sequence[TriggerReading] = closing.readings
    decision = judge.decide(rollout, deps.policy, readings, seen)
    if decision is not None and decision.trigger is not None and "log_e" not in decision.evidence:
        readings = [*fired_before(deps, rollout, seen.latched), *readings]
        decision = judge.decide(rollout, deps.policy, readings, seen)
    after = _record(deps, rollout, closing, decision, readings, seen, history, head, mark)
    found = tuple(closing.readings)
    upcoming = closes_at(deps.policy, history, lanes)
    return Evaluation(after, decision, found, mark, fresh, len(closing.ledger), seen, upcoming)


def _lanes(deps: Deps, rollout: Rollout, closing: Closing) -> dict[str, LaneState]:
    """The lanes after this run."""
    stored = deps.state.lanes(rollout.rollout_id) if closing.stored is None else closing.stored
    return stored | {lane.lane: lane for lane in closing.lanes}


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
    return [StageEvent(row.version, row.event, row.state, row.started_at, row.share) for row in rows]


def fired_before(deps: Deps, rollout: Rollout, keys: Collection[CountKey]) -> list[TriggerReading]:
    """The newest fired reading of each of these streams, from the ledger: the evidence of what is acted upon only now."""
    found: dict[CountKey, TriggerReading] = {}
    for row in deps.state.fired_rows(rollout.rollout_id):
        counts = {(item["stream"], item["segment"]): item for item in row["counts"]}
        for plain in row["readings"]:
            key = (plain["trigger"], plain["segment"])
            if plain["fired"] and key in keys and key not in found:
                found[key] = reading_of_ledger(plain, counts[key], from_text(row["block_start"]), row["span_seconds"])
    return list(found.values())


def _record(
    deps: Deps,
    rollout: Rollout,
    closing: Closing,
    decision: Decision | None,
    readings: Sequence[TriggerReading],
    seen: judge.Situation,
    history: Sequence[StageEvent],
    head: FactsHead | None,
    mark: datetime | None,
) -> Rollout:
    after, now = rollout, seen.now
    commit = Commit()
    if decision is not None:
        fired = [reading for reading in readings if reading.fired]
        latest = {(reading.trigger, reading.segment): reading for reading in fired}
        exposed = customers_exposed(deps, fired, now) if fired else None
        from jobs.estimates import (
            estimates_since,
        )  # SciPy's distributions take seconds to import; a healthy tick needs none

        named = {trigger.name for trigger in deps.policy.triggers}
        estimated = [reading for reading in latest.values() if reading.trigger in named]
        estimates = estimates_since(deps, rollout, closing.ledger, estimated)
        commit, after = automatic_commit(
            decision, rollout, deps.policy, list(latest.values()), exposed, estimates, deps.dashboard_url, seen.tripped
        )
    freshness = timedelta(seconds=deps.policy.watch.freshness_seconds)
    stopped = seen.silent or _still_silent(deps, rollout, closing, history)
    over = incident_join.over_causes(rollout, decision, mark, stopped, freshness, now)
    commit = incident_join.clear(deps.state, commit, rollout, over, now)
    if decision is not None:
        commit = incident_join.correlate(deps.state, commit, decision, rollout, deps.policy)
    told = pages.messages(deps, rollout, seen, decision, history, readings)
    if closing.ledger or decision is not None or told or commit.also:
        judged_with = head if closing.ledger else None
        messages = (*commit.messages, *told)
        whole = replace(commit, ledger=closing.ledger, lanes=closing.lanes, messages=messages, facts_head=judged_with)
        deps.state.commit(whole, now)
    return after


def _still_silent(deps: Deps, rollout: Rollout, closing: Closing, history: Sequence[StageEvent]) -> tuple[str, ...]:
    """Metrics that have stopped, also those that a person set aside or that have the grace of a resumption: such an incident is not over for that."""
    waiting = any(row.trigger == incident_join.SILENT_METRIC for row in deps.state.open_incidents(rollout.rollout_id))
    return silent(deps, rollout, _lanes(deps, rollout, closing), history) if waiting else ()


def customers_exposed(deps: Deps, fired: Sequence[TriggerReading], until: datetime) -> int:
    """Customers served by the assistant from the earliest likely onset to `until`."""
    since = min((reading.onset or reading.block_start) for reading in fired)
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(
            load("decisions/customers_exposed"), {"since": utc(since), "until": utc(until)}
        ).fetchall()
    return int(rows[0][0])


def standings(deps: Deps, rollout: Rollout) -> dict[str, CertificateStanding]:
    """Where each certificate of the rollout's current stage stands.

    A lane gives nothing until it has closed a block of the stage, and of the time since the newest deploy or change of policy: what was
    certified before that speaks of something else.
    """
    found: dict[str, CertificateStanding] = {}
    history = stage_events(deps, rollout)
    stage_version = spans(history)[-1].version
    changed = max((row.started_at for row in history if row.event in CHANGES), default=None)
    for lane in deps.state.lanes(rollout.rollout_id).values():
        last = last_block(lane.state)
        if last is None or last.stage_version != stage_version or (changed is not None and last.start < changed):
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
    now, history = max(now, rollout.stage_started_at), stage_events(deps, rollout)
    fresh, behind = is_fresh(deps.policy, rollout, mark, now), facts_behind(deps, history)
    lanes = deps.state.lanes(rollout.rollout_id)
    seen = situation(deps, rollout, lanes, history, now, fresh=fresh, behind=behind)
    phase = deps.policy.phase(rollout.phase)
    facts = GateFacts(
        now=now,
        treated=treated,
        standings=standings(deps, rollout),
        approvers=tuple(sorted(approvers)),
        author=deps.state.author(rollout.release_hash) or "",
        fired=deps.state.has_fired(rollout.rollout_id),
        fresh=fresh,
        reviewed=reviews.gate_lines(deps, rollout, spans(history)[-1]),
        invalid=seen.invalid,
        unheard=unheard(deps.policy, phase.audience, told(lanes, history)) if phase.min_treated else (),
        silent=silent(deps, rollout, lanes, history, seen.muted),
        facts_behind=behind,
        cooldown_until=cooldown_until(deps.state, deps.policy),
    )
    return judge_gate(rollout, phase, facts)
