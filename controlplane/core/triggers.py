"""From closed blocks to readings: each trigger's and certificate's streams take one step per block.

A lane's state is a plain dictionary, one entry per stream, so it can be stored as JSON and rebuilt from the ledger by a replay:
`trigger:NAME|SEGMENT` -> detector state, `certificate:NAME` -> certificate state, `last` -> the last closed block, `fired` -> the
streams that have fired (a latch: what counts is that a block was at or over the threshold, not what the evidence is now).

Certificates restart at each stage start and deploy. Detectors never do, with one exception: when a person resumes a held
rollout (or switches execution on again, for the triggers that switch it off), the streams that had fired begin again from no
evidence with the weight of a restart, at the first block that opens behind it. Until then their blocks that had opened before
are void (e = 1): their harm is what the person has just let go of. Giving evidence up only lowers R, so R plus the unspent
weight stays a supermartingale and the error budget holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from controlplane.core.blocks import Block, Lane, LetGo
from controlplane.core.evidence import (
    CertificateSpec,
    CertificateState,
    Counts,
    DetectorState,
    Events,
    StreamSpec,
    WeightPlan,
    certificate,
    step,
)
from controlplane.core.model import Action, BlockCounts, TriggerReading, Verdict
from controlplane.core.policy import Certificate, Policy, Trigger

ALL = "all"
NOTHING_LET_GO = LetGo()
VOID = "void: a person has let go of what this block may hold"
CountKey = tuple[str, str]  # (trigger or certificate name, segment)


@dataclass(frozen=True, slots=True)
class CertificateStanding:
    """How far a certificate has come: certified when `log_e` has reached `log_threshold`."""

    name: str
    metric: str
    margin: float
    log_e: float
    log_threshold: float
    certified: bool
    blocks: int


@dataclass(frozen=True, slots=True)
class LaneStep:
    """What one block did to a lane: the new state, what each stream reads, and where the certificates stand."""

    state: dict[str, Any]
    readings: tuple[TriggerReading, ...]
    standings: tuple[CertificateStanding, ...]


def stream_spec(policy: Policy, trigger: Trigger, segment: str) -> StreamSpec:
    """What a stream tests, with its part of the error budget."""
    return StreamSpec(str(trigger.kind), trigger.limit, policy.alpha(trigger, segment))


def weight_plan(policy: Policy, span_seconds: int) -> WeightPlan:
    """The account of one stream over the planned horizon."""
    return WeightPlan(horizon_blocks=max(1, round(policy.budget.horizon_weeks * 7 * 86400 / span_seconds)))


def to_counts(counts: BlockCounts) -> Counts:
    """The evidence engine's form of a block's counts."""
    return Counts(counts.n_t, counts.x_t, counts.n_c, counts.x_c, counts.k_t, counts.k_c)


def step_lane(
    policy: Policy,
    lane: Lane,
    state: Mapping[str, Any],
    block: Block,
    counts: Mapping[CountKey, BlockCounts],
    released: LetGo = NOTHING_LET_GO,
) -> LaneStep:
    """Read one closed block with every stream of the lane. Missing counts are a fault of the caller (KeyError).

    `released` is what people had let go of when the block closed; the counts in the readings are those that were used.
    """
    after = dict(state)
    latched = set(state.get("fired", ()))
    readings: list[TriggerReading] = []
    for trigger in lane.triggers:
        for segment in (ALL, *policy.watch.segments):
            key = f"trigger:{trigger.name}|{segment}"
            give_up = key in latched and _is_let_go_by(trigger, block)
            latched -= {key} if give_up else set()
            found = counts[trigger.name, segment]
            void = key in latched and _is_void(trigger, block, released)
            used = (
                BlockCounts(found.metric, segment, found.start, found.span_seconds, last_batch=found.last_batch)
                if void
                else found
            )
            after[key], reading = _step_trigger(policy, trigger, segment, state.get(key), block, used, give_up)
            readings.append(replace(reading, fired=False, verdict=Verdict.NO_DATA, reason=VOID) if void else reading)
            if reading.fired and not void:
                latched.add(key)
    standings = []
    for item in lane.certificates:
        key = f"certificate:{item.name}"
        after[key], standing = _step_certificate(policy, item, state.get(key), block, counts[item.name, ALL])
        standings.append(standing)
    after["fired"] = sorted(latched)
    after["last"] = {"start": block.start.isoformat(), "end": block.end.isoformat(), "version": block.stage_version}
    return LaneStep(after, tuple(readings), tuple(standings))


def _is_let_go_by(trigger: Trigger, block: Block) -> bool:
    """Whether the block is the first behind an act of a person that lets go of this trigger's evidence."""
    return bool(block.resumes or (block.enables and trigger.action is Action.DISABLE_EXECUTION))


def _is_void(trigger: Trigger, block: Block, released: LetGo) -> bool:
    """Whether a person let go of this trigger after the block had opened: what it holds was known, or seen, by then."""
    moments = [released.resumed_at]
    if trigger.action is Action.DISABLE_EXECUTION:
        moments.append(released.enabled_at)
    return any(moment is not None and moment > block.start for moment in moments)


def latched_beyond_page(policy: Policy, state: Mapping[str, Any]) -> bool:
    """Whether a stream of a lane that asks for more than a page has fired and was not let go of."""
    mild = {trigger.name for trigger in policy.triggers if trigger.action is Action.PAGE}
    fired: list[str] = list(state.get("fired", ()))
    return any(key.removeprefix("trigger:").rsplit("|", 1)[0] not in mild for key in fired)


def last_block(state: Mapping[str, Any]) -> Block | None:
    """The last block a lane has closed, from its state."""
    last = state.get("last")
    if last is None:
        return None
    start, end = (datetime.fromisoformat(last[key]) for key in ("start", "end"))
    return Block(start, end, int(last["version"]), False)


def _index(moment: datetime) -> int:
    """Blocks are numbered by the microsecond they open at: exact, and rising over any grid."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _moment(index: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=index)


def _without_evidence(state: DetectorState) -> DetectorState:
    k = len(state.log_r)
    return replace(state, log_r=(-inf,) * k, climb=(0.0,) * k, onset=(0,) * k)


def _step_trigger(
    policy: Policy,
    trigger: Trigger,
    segment: str,
    stored: Mapping[str, Any] | None,
    block: Block,
    counts: BlockCounts,
    give_up: bool,
) -> tuple[dict[str, Any], TriggerReading]:
    spec = stream_spec(policy, trigger, segment)
    plan = weight_plan(policy, trigger.block_seconds)
    state = DetectorState.from_dict(stored) if stored is not None else DetectorState.fresh(spec, plan)
    if give_up:
        state = _without_evidence(state)
    events = Events(stage_starts=int(block.starts_stage) + int(give_up), deploys=block.deploys)
    after, reading = step(spec, state, _index(block.start), to_counts(counts), events)
    verdict = Verdict.FAIL if reading.fired else Verdict.NO_DATA if reading.empty else Verdict.PASS
    return after.to_dict(), TriggerReading(
        trigger=trigger.name,
        metric=trigger.metric,
        segment=segment,
        action=trigger.action,
        verdict=verdict,
        block_start=block.start,
        log_e=reading.log_E,
        log_threshold=reading.log_threshold,
        fired=reading.fired,
        counts=counts,
        reason=_reason(trigger, segment, verdict),
        onset=None if reading.onset is None else _moment(reading.onset),
        weight_spent=reading.spent,
    )


def _reason(trigger: Trigger, segment: str, verdict: Verdict) -> str:
    where = "" if segment == ALL else f" in segment {segment}"
    match verdict:
        case Verdict.FAIL:
            return f"{trigger.metric}{where} is beyond its limit of {trigger.limit:g}: the evidence has crossed its threshold"
        case Verdict.NO_DATA:
            return f"{trigger.metric}{where}: no comparable data in this block; it neither passes nor accuses"
        case _:
            return f"{trigger.metric}{where}: the evidence stays below its threshold"


def _step_certificate(
    policy: Policy, item: Certificate, stored: Mapping[str, Any] | None, block: Block, counts: BlockCounts
) -> tuple[dict[str, Any], CertificateStanding]:
    spec = CertificateSpec(str(item.kind), item.margin, policy.budget.certificate)
    state = CertificateState.from_dict(stored) if stored is not None else CertificateState.fresh(spec)
    if block.starts_stage or block.deploys:
        state = certificate.restart(state)
    after, reading = certificate.step(spec, state, _index(block.start), to_counts(counts))
    standing = CertificateStanding(
        item.name, item.metric, item.margin, reading.log_E, reading.log_threshold, reading.certified, after.blocks
    )
    return after.to_dict(), standing
