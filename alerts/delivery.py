"""What delivery works with and answers: protocols of the outbox and of receivers, the rules, pauses, and what became of a message."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from alerts.history import Item
from alerts.message import Message, Receipt
from alerts.pipeline import Inhibition, Route, Silence, Timing
from controlplane.store.state_rows import NewMessage


class OutboxReader(Protocol):
    """Looks at the outbox; `controlplane.store.state.StateReader` is one."""

    def outbox_due(self, now: datetime) -> Sequence[Item]: ...
    def outbox_of(self, incidents: Collection[str], loose_since: datetime | None = None) -> Sequence[Item]: ...
    def newest_message(self, prefix: str) -> Item | None: ...
    def unfinished_incidents(self) -> Sequence[str]: ...


class OutboxWriter(Protocol):
    """Records what became of messages; `controlplane.store.state.StateWriter` is one."""

    def record_routed(self, routes: Mapping[str, Sequence[str]]) -> None: ...
    def record_waiting(self, outbox_ids: Sequence[str], until: datetime) -> None: ...
    def record_sending(self, outbox_id: str, receiver: str, now: datetime) -> None: ...
    def record_sent(
        self, outbox_id: str, receipt: Mapping[str, Any], now: datetime, within: Mapping[str, str] | None = None
    ) -> None: ...
    def record_failed(
        self,
        outbox_id: str,
        error: str,
        retry_at: datetime | None,
        now: datetime | None = None,
        news: NewMessage | None = None,
        within: Mapping[str, str] | None = None,
    ) -> None: ...
    def record_suppressed(self, reasons: Mapping[str, str], now: datetime) -> None: ...
    def add_message(self, message: NewMessage, now: datetime, route: str = "") -> None: ...


class Receiver(Protocol):
    """Tries once to tell people; raises `DeliveryError`. See `alerts.message` for how to write one."""

    @property
    def name(self) -> str: ...
    def send(self, message: Message) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses between attempts: `first * 2^(attempt - 1)`, at most `longest`. The defaults reach four hours."""

    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(seconds=60)
    tell_next_after: int = 3
    max_attempts: int = 240

    def pause(self, attempt: int, asked: float | None) -> timedelta:
        """How long to wait after this attempt; what the receiver asked for goes first."""
        if asked is not None:
            return timedelta(seconds=asked)
        return min(self.first * (1 << min(attempt - 1, 20)), self.longest)


@dataclass(frozen=True, slots=True)
class Rules:
    """How alerts are routed, held back and retried. The last route must take everything; a route is known by its name."""

    routes: tuple[Route, ...]
    inhibitions: tuple[Inhibition, ...] = ()
    silences: tuple[Silence, ...] = ()
    timing: Timing = field(default_factory=Timing)
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if not self.routes or self.routes[-1].matcher.any_of or not self.routes[-1].receivers:
            raise ValueError("the last route must match everything and name a receiver, or alerts could be lost")
        names = [route.name for route in self.routes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two routes are called '{twice[0]}': give each a name of its own")

    def timing_of(self, route: str) -> Timing:
        """The waits of the route of that name."""
        found = next((one.timing for one in self.routes if one.name == route), None)
        return found or self.timing

    @property
    def longest_repeat(self) -> timedelta:
        """The longest repeat interval: how long a group without an incident may go on."""
        return max(self.timing_of(route.name).repeat_interval for route in self.routes)


class Result(StrEnum):
    """What became of a message in this run."""

    SENT = "sent"
    FOUND = "found"  # an earlier attempt had arrived
    SUPPRESSED = "suppressed"
    DELAYED = "delayed"
    FAILED = "failed"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of one message of the outbox, and why.

    `alerted_at` is when people were first told of its incident, by whichever receiver; None while they were not.
    """

    outbox_id: str
    incident_id: str | None
    result: Result
    reason: str
    receiver: str | None = None
    receipt: Mapping[str, Any] | None = None
    alerted_at: datetime | None = None
    next_attempt_at: datetime | None = None


@dataclass(slots=True)
class Pauses:
    """Until when a receiver is left alone, and how often in a row it failed, by name. Kept between runs by whoever calls `deliver_due`.

    In memory on purpose: after a restart every receiver is tried once, and what was asked of it is in the outbox.
    """

    until: dict[str, datetime] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    stood_in: set[str] = field(default_factory=set)  # messages of which a stand-in was told, by id
    reminded_at: datetime | None = None

    def active(self, receiver: str, now: datetime) -> bool:
        """Whether the receiver is paused now."""
        until = self.until.get(receiver)
        return until is not None and now < until

    def failed(self, receiver: str, until: datetime | None) -> int:
        """One more failure in a row, how many there are now. `until` None: the receiver itself is well, trying soon is no burden."""
        self.failures[receiver] = self.failures.get(receiver, 0) + 1
        if until is not None:
            self.until[receiver] = until
        return self.failures[receiver]

    def took(self, receiver: str) -> bool:
        """It took a message; True when it had failed before, or was not heard of before in this process."""
        self.until.pop(receiver, None)
        before = self.failures.get(receiver)
        self.failures[receiver] = 0
        return before != 0
