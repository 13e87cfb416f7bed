"""Which blocks there are, and which of them may close now.

A block is a fixed span of time counted from the start of its *stage span* (the time in which one share was served), so a share
change always starts a new block and no block ever mixes two shares; the last block before a change is cut short. A block
closes once, when the sources' watermark has passed its end plus the lane's maturity: then every label that counts has arrived.

Spans in which nothing is exposed (after a rollback) have no blocks.

Quarters: 0 while the rollout grows. With its completion the first quarter of 13 weeks begins, and every 13 weeks the next; a block
belongs to the quarter in which it opens. That follows from the history alone, so it is known before the block (`Block.quarter`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from controlplane.core.model import RolloutState
from controlplane.core.policy import Certificate, Policy, Trigger
from controlplane.core.validity import Check, checks

POLICY_CHANGE = "policy"
MARKERS = {"deploy": "deploys", "resume": "resumes", "enable_execution": "enables", POLICY_CHANGE: "policies"}
"""Rows of the history that a block must know of, by the field of `Block` that counts them."""
SHARE_EVENTS = frozenset({"start", "promote", "rollback", "restart"})
QUARTER_WEEKS = 13
QUARTER = timedelta(weeks=QUARTER_WEEKS)


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A row of the rollout's history, as far as blocks need it; `share` is the one configured from then on."""

    version: int
    event: str
    state: RolloutState
    started_at: datetime
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """Time in which one share was served: `[start, end)`, `end` None while it lasts."""

    version: int
    start: datetime
    end: datetime | None
    exposed: bool
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Lane:
    """Streams that close together: the same block length and the same maturity. A lane of validity checks has nothing else."""

    key: str
    span: timedelta
    maturity: timedelta
    triggers: tuple[Trigger, ...]
    certificates: tuple[Certificate, ...]
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """One block that may close. What is known before it opens: whether it starts a stage, which share it is served at, the quarter
    since the completion (0: not complete), and how many deploys, resumptions, switchings on of execution and policy changes there
    were since the block before."""

    start: datetime
    end: datetime
    stage_version: int
    starts_stage: bool
    deploys: int = 0
    resumes: int = 0
    enables: int = 0
    policies: int = 0
    share: float = 0.0
    quarter: int = 0


@dataclass(frozen=True, slots=True)
class LetGo:
    """When a person last resumed the rollout, and last switched execution on again, as known when a block closes."""

    resumed_at: datetime | None = None
    enabled_at: datetime | None = None


def let_go(history: Sequence[StageEvent]) -> LetGo:
    """The newest resumption and switching on in a rollout's history."""
    newest = {row.event: row.started_at for row in history}
    return LetGo(newest.get("resume"), newest.get("enable_execution"))


def completed_at(history: Sequence[StageEvent]) -> datetime | None:
    """The whole second at which the rollout was complete for the first time; None while it never was."""
    moments = (whole_second(row.started_at) for row in history if row.state is RolloutState.COMPLETE)
    return next(moments, None)


def quarter_of(completed: datetime | None, moment: datetime) -> int:
    """The quarter since the completion that `moment` lies in: 1, 2, ...; 0 before it."""
    return 0 if completed is None or moment < completed else 1 + (moment - completed) // QUARTER


def lanes(policy: Policy) -> tuple[Lane, ...]:
    """The policy's lanes of triggers and certificates, in the order of their keys."""
    streams: tuple[Trigger | Certificate, ...] = (*policy.triggers, *policy.certificates)
    keys = sorted({item.lane for item in streams})
    result = []
    for key in keys:
        triggers = tuple(item for item in policy.triggers if item.lane == key)
        certificates = tuple(item for item in policy.certificates if item.lane == key)
        first = next(item for item in streams if item.lane == key)
        maturity = timedelta(minutes=first.maturity_minutes)
        result.append(Lane(key, timedelta(seconds=first.block_seconds), maturity, triggers, certificates))
    return tuple(result)


def check_lanes(policy: Policy) -> tuple[Lane, ...]:
    """The lanes of the policy's validity checks, one per maturity, in the order of their keys."""
    found = checks(policy)
    span = timedelta(seconds=policy.validity.block_seconds)
    return tuple(
        Lane(f"checks {span // timedelta(seconds=1)}s+{wait}s", span, timedelta(seconds=wait), (), (), mine)
        for wait in sorted({check.maturity_seconds for check in found})
        if (mine := tuple(check for check in found if check.maturity_seconds == wait))
    )


def whole_second(moment: datetime) -> datetime:
    """The first whole second at or after `moment`: blocks lie on whole seconds."""
    floor = moment.replace(microsecond=0)
    return floor if floor == moment else floor + timedelta(seconds=1)


def spans(history: Sequence[StageEvent]) -> list[Span]:
    """Stage spans of a rollout's history (oldest first), from whole second to whole second."""
    changes = [row for row in history if row.event in SHARE_EVENTS]
    ends: list[datetime | None] = [whole_second(later.started_at) for _, later in pairwise(changes)] + [None]
    return [
        Span(row.version, whole_second(row.started_at), end, row.state is not RolloutState.ROLLED_BACK, row.share)
        for row, end in zip(changes, ends, strict=False)
    ]


def _grids(history: Sequence[StageEvent]) -> Iterator[Span]:
    """The stage spans, cut where the policy changed: every piece has a block grid of its own."""
    cuts = [whole_second(row.started_at) for row in history if row.event == POLICY_CHANGE]
    for span in spans(history):
        start = span.start
        for cut in cuts:
            if start < cut and (span.end is None or cut < span.end):
                yield replace(span, start=start, end=cut)
                start = cut
        yield replace(span, start=start)


def _opening(span: Span, last: Block | None, since: datetime | None) -> datetime:
    """Where the first block of the span behind `last` and `since` begins."""
    return max([span.start, *([last.end] if last else []), *([since] if since else [])])


def next_close(
    history: Sequence[StageEvent], lane: Lane, last: Block | None, since: datetime | None = None
) -> datetime | None:
    """The watermark at which the next block of `lane` may close; None where nobody is exposed. `since` as in `closable`."""
    for span in _grids(history):
        start = _opening(span, last, since)
        if span.exposed and (span.end is None or start < span.end):
            end = start + lane.span if span.end is None else min(start + lane.span, span.end)
            return end + lane.maturity
    return None


def closable(
    history: Sequence[StageEvent],
    lane: Lane,
    last: Block | None,
    watermark: datetime,
    limit: int = 2000,
    since: datetime | None = None,
) -> list[Block]:
    """Blocks of `lane` behind its `last` closed one that may close at `watermark`, oldest first, at most `limit`.

    A marker (deploy, policy change, a person's resumption or switching on of execution) belongs to the first block that opens at
    or after it: it is never back-dated, because a weight must be known before the block it is spent on. `since`: the policy change
    that brought this lane; there is no block of it before.
    """
    marks = [row for row in history if row.event in MARKERS]
    completed = completed_at(history)
    blocks: list[Block] = []
    for span in _grids(history):
        start = _opening(span, last, since)
        while span.exposed and len(blocks) < limit and (span.end is None or start < span.end):
            end = start + lane.span if span.end is None else min(start + lane.span, span.end)
            if end + lane.maturity > watermark:
                return blocks
            opened = last.start if last is not None else None
            known = [
                row.event for row in marks if row.started_at <= start and (opened is None or row.started_at > opened)
            ]
            starts_stage = last is None or last.stage_version != span.version
            counted = {field: known.count(name) for name, field in MARKERS.items()}
            quarter = quarter_of(completed, start)
            last = Block(start, end, span.version, starts_stage, **counted, share=span.share, quarter=quarter)
            blocks.append(last)
            start = end
    return blocks
