"""Which blocks there are, and which of them may close now.

A block is a fixed span of time counted from the start of its *stage span* (the time in which one share was served), so a share
change always starts a new block and no block ever mixes two shares; the last block before a change is cut short. A block
closes once, when the sources' watermark has passed its end plus the lane's maturity: then every label that counts has arrived.

Spans in which nothing is exposed (after a rollback) have no blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from controlplane.core.model import RolloutState
from controlplane.core.policy import Certificate, Policy, Trigger

MARKERS = ("deploy", "resume", "enable_execution")
SHARE_EVENTS = frozenset({"start", "promote", "rollback", "restart"})


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A row of the rollout's history, as far as blocks need it."""

    version: int
    event: str
    state: RolloutState
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """Time in which one share was served: `[start, end)`, `end` None while it lasts."""

    version: int
    start: datetime
    end: datetime | None
    exposed: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """Streams that close together: the same block length and the same maturity."""

    key: str
    span: timedelta
    maturity: timedelta
    triggers: tuple[Trigger, ...]
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block that may close. What is known before it opens: whether it starts a stage, deploys and resumptions since the block before."""

    start: datetime
    end: datetime
    stage_version: int
    starts_stage: bool
    deploys: int = 0
    resumes: int = 0
    enables: int = 0


@dataclass(frozen=True, slots=True)
class LetGo:
    """When a person last resumed the rollout, and last switched execution on again, as known when a block closes."""

    resumed_at: datetime | None = None
    enabled_at: datetime | None = None


def let_go(history: Sequence[StageEvent]) -> LetGo:
    """The newest resumption and switching on in a rollout's history."""
    newest = {row.event: row.started_at for row in history}
    return LetGo(newest.get("resume"), newest.get("enable_execution"))


def lanes(policy: Policy) -> tuple[Lane, ...]:
    """The policy's lanes, in the order of their keys."""
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


def whole_second(moment: datetime) -> datetime:
    """The first whole second at or after `moment`: blocks lie on whole seconds."""
    floor = moment.replace(microsecond=0)
    return floor if floor == moment else floor + timedelta(seconds=1)


def spans(history: Sequence[StageEvent]) -> list[Span]:
    """Stage spans of a rollout's history (oldest first), from whole second to whole second."""
    changes = [row for row in history if row.event in SHARE_EVENTS]
    ends: list[datetime | None] = [whole_second(later.started_at) for _, later in pairwise(changes)] + [None]
    return [
        Span(row.version, whole_second(row.started_at), end, row.state is not RolloutState.ROLLED_BACK)
        for row, end in zip(changes, ends, strict=False)
    ]


def closable(
    history: Sequence[StageEvent], lane: Lane, last: Block | None, watermark: datetime, limit: int = 2000
) -> list[Block]:
    """Blocks of `lane` behind its `last` closed one that may close at `watermark`, oldest first, at most `limit`.

    A marker (deploy, a person's resumption or switching on of execution) belongs to the first block that opens at or after it:
    it is never back-dated, because a weight must be known before the block it is spent on.
    """
    marks = [row for row in history if row.event in MARKERS]
    blocks: list[Block] = []
    for span in spans(history):
        start = span.start if last is None else max(span.start, last.end)
        while span.exposed and len(blocks) < limit and (span.end is None or start < span.end):
            end = start + lane.span if span.end is None else min(start + lane.span, span.end)
            if end + lane.maturity > watermark:
                return blocks
            opened = last.start if last is not None else None
            known = [
                row.event for row in marks if row.started_at <= start and (opened is None or row.started_at > opened)
            ]
            starts_stage = last is None or last.stage_version != span.version
            last = Block(start, end, span.version, starts_stage, *(known.count(name) for name in MARKERS))
            blocks.append(last)
            start = end
    return blocks
