"""What a trigger would have said with another limit or another part of the error budget, on the counts that were recorded. Pure.

The blocks, their counts and what was known before each of them are those of the past; only the trigger is another one, and the engine is the
one that decides live (`controlplane.core.triggers.step_blocks`). What people would have done after an alarm is not said, and blocks behind a first
alarm that cuts traffic would never have been: their evidence shows only what the counts go on to say.

Weights sum to 1 over a policy's triggers. One that gets more takes it from all others in proportion, so that the promise stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from math import exp, inf
from typing import Any

from controlplane.core.blocks import MARKERS, Block, Lane, LetGo, StageEvent, completed_at, let_go, quarter_of, spans
from controlplane.core.evidence.forms import FORMS
from controlplane.core.model import BlockCounts, TriggerReading
from controlplane.core.policy_model import Policy, Trigger
from controlplane.core.streams import stream_limit
from controlplane.core.triggers import ALL, CountKey, step_blocks

LEAST_WEIGHT, MOST_WEIGHT = 0.001, 0.999


@dataclass(frozen=True, slots=True)
class Recorded:
    """A closed block of the ledger: when it was open and when it was judged (aware UTC), and its counts by stream and segment."""

    start: datetime
    span: timedelta
    closed_at: datetime
    counts: Mapping[CountKey, BlockCounts]


@dataclass(frozen=True, slots=True)
class Alarm:
    """The first block at or over the threshold: when it closed, in which segment, and how many treated units had been counted in all traffic."""

    block_start: datetime
    closed_at: datetime
    segment: str
    units: int


@dataclass(frozen=True, slots=True)
class Walk:
    """A trigger over the blocks of one rollout: log evidence of all traffic per block with its log threshold, and the first alarm of any stream."""

    log_e: tuple[float, ...]
    log_threshold: tuple[float, ...]
    first: Alarm | None

    def ratios(self) -> tuple[float, ...]:
        """Evidence as a multiple of its threshold, block by block: 1 is an alarm, 0 no evidence yet."""
        pairs = zip(self.log_e, self.log_threshold, strict=True)
        return tuple(0.0 if log_e == -inf else exp(min(log_e - threshold, 700.0)) for log_e, threshold in pairs)


def trigger_of(policy: Policy, name: str) -> Trigger:
    """The trigger of that name. Raises ValueError naming the ones there are."""
    for trigger in policy.triggers:
        if trigger.name == name:
            return trigger
    there = ", ".join(trigger.name for trigger in policy.triggers)
    raise ValueError(f"trigger: policy '{policy.name}' has no '{name}'; it has {there}")


def changed(policy: Policy, name: str, limit: float, weight: float) -> Policy:
    """The policy with another limit and weight of one trigger; the others' weights in proportion, so that all still sum to what they did.

    Raises ValueError for an unknown trigger, a weight outside `LEAST_WEIGHT` to `MOST_WEIGHT`, and a weight that leaves nothing to give.
    So does a limit that the trigger's kind cannot have. The hash stays that of the text it came from: nothing of this is in force.
    """
    old = trigger_of(policy, name)
    wrong = (
        "it must not be negative"
        if limit < 0
        else FORMS[str(old.kind)].limit_error(stream_limit(policy, replace(old, limit=limit)))
    )
    if wrong:
        raise ValueError(f"limit: {wrong}")
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise ValueError(f"weight: {weight:g} must lie between {LEAST_WEIGHT:g} and {MOST_WEIGHT:g}")
    whole = sum(trigger.weight for trigger in policy.triggers)
    others = whole - old.weight
    if weight != old.weight and (others <= 0 or weight >= whole):
        raise ValueError(f"weight: {weight:g} leaves nothing to the other triggers, which must keep a part")
    factor = (whole - weight) / others if others else 1.0
    triggers = tuple(
        replace(trigger, limit=limit, weight=weight)
        if trigger.name == name
        else trigger
        if weight == old.weight
        else replace(trigger, weight=trigger.weight * factor)
        for trigger in policy.triggers
    )
    return replace(policy, triggers=triggers)


def walk(policy: Policy, name: str, history: Sequence[StageEvent], recorded: Sequence[Recorded]) -> Walk:
    """The trigger `name` of `policy` over a rollout's blocks, oldest first, from its first one on.

    Raises ValueError for counts that the trigger's streams do not have (another segmentation) and for blocks out of order.
    """
    trigger = trigger_of(policy, name)
    maturity = timedelta(minutes=trigger.maturity_minutes)
    lane = Lane(trigger.lane, timedelta(seconds=trigger.block_seconds), maturity, (trigger,), ())
    blocks = blocks_of(history, recorded)
    state: dict[str, Any] = {}
    log_e, thresholds, units, first = [], [], 0, None
    for released, part in _by_acts(history, recorded, blocks):
        try:
            counts = [one.counts for one, _ in part]
            run = step_blocks(policy, lane, state, [block for _, block in part], counts, released)
        except KeyError as missing:
            raise ValueError(f"the ledger has no counts of {missing}: it was recorded with other segments") from None
        state = run.state
        for (one, _), readings in zip(part, run.readings, strict=True):
            whole = next(reading for reading in readings if reading.segment == ALL)
            log_e.append(whole.log_e)
            thresholds.append(whole.log_threshold)
            units += whole.counts.n_t
            first = first or _alarm(readings, one, units)
    return Walk(tuple(log_e), tuple(thresholds), first)


def _alarm(readings: Sequence[TriggerReading], one: Recorded, units: int) -> Alarm | None:
    fired = [reading.segment for reading in readings if reading.fired]
    return Alarm(one.start, one.closed_at, ALL if ALL in fired else fired[0], units) if fired else None


def _by_acts(
    history: Sequence[StageEvent], recorded: Sequence[Recorded], blocks: Sequence[Block]
) -> Iterator[tuple[LetGo, list[tuple[Recorded, Block]]]]:
    """Blocks between two acts of people that let go of evidence, as known when each closed."""

    def known(pair: tuple[Recorded, Block]) -> LetGo:
        return let_go([row for row in history if row.started_at <= pair[0].closed_at])

    for released, part in groupby(zip(recorded, blocks, strict=True), key=known):
        yield released, list(part)


def blocks_of(history: Sequence[StageEvent], recorded: Sequence[Recorded]) -> list[Block]:
    """The recorded blocks with what was known before each: its share, whether it starts a stage, deploys and acts since the one before, its quarter.

    A block that lies in no span of the history is a ValueError: then the ledger and the history are not of one rollout.
    """
    served, completed = spans(history), completed_at(history)
    marks = [row for row in history if row.event in MARKERS]
    found: list[Block] = []
    place = 0
    for one in recorded:
        while place + 1 < len(served) and served[place + 1].start <= one.start:
            place += 1
        if not served or one.start < served[place].start:
            raise ValueError(f"the block of {one.start.isoformat()} lies before the rollout's history")
        last = found[-1] if found else None
        span = served[place]
        known = [
            row.event for row in marks if row.started_at <= one.start and (not last or row.started_at > last.start)
        ]
        counted = {field: known.count(name) for name, field in MARKERS.items()}
        found.append(
            Block(
                one.start,
                one.start + one.span,
                span.version,
                last is None or last.stage_version != span.version,
                **counted,
                share=span.share,
                quarter=quarter_of(completed, one.start),
            )
        )
    return found
