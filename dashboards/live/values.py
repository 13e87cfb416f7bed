"""What the Live page shows beside the state, as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.core.estimates import Interval


@dataclass(frozen=True)
class Quiet:
    """A silence of alerts or a trigger that a person set aside. `what`: labels in words, or the trigger's name."""

    kind: str  # silence | override
    key: str
    what: str
    who: str
    why: str
    since: datetime
    until: datetime

    def active(self, now: datetime) -> bool:
        """Whether it is in force at that time."""
        return self.since <= now < self.until


@dataclass(frozen=True)
class Queue:
    """Messages to people: how many wait, since when the oldest does, how many could not be delivered and why."""

    pending: int
    oldest: datetime | None
    dead: int
    error: str


@dataclass(frozen=True)
class Vital:
    """One measure of the service as it is now, with its history for a small line.

    shown, interval: of the assistant over the newest minutes, in words; "" where nothing was counted. against: the baseline's value and the limit.
    assistant, baseline: (x in 0..1, value) per bin over the window, a value None where nothing was counted.
    """

    name: str
    title: str
    shown: str
    interval: str
    against: str
    tone: str
    assistant: Sequence[tuple[float, float | None]]
    baseline: Sequence[tuple[float, float | None]]
    limit: float | None = None


@dataclass(frozen=True)
class Dependency:
    """How a dependency does: its newest calls and what became of them, the time they took, and the share that failed per bin of the window."""

    name: str
    calls: int
    failed: Interval | None
    timed_out: int
    p50: Interval | None
    p95: Interval | None
    tone: str
    history: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Watched:
    """One trigger: how near it is to firing, what it counted in the time that it judges, and its evidence per bin (x in 0..1, ratio)."""

    name: str
    title: str
    word: str
    tone: str
    ratio: float
    observed: str
    history: Sequence[tuple[float, float | None]]
    fired: bool
