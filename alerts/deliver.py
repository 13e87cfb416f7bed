"""From the outbox to people: the hands of the alert pipeline.

For each message: **sending** is written first, then the receiver is asked once, then the result is written. A crash between any
two of these steps leaves the message due again, with an attempt on record; the receiver then looks up whether it arrived
before it sends again. So nothing acknowledged is lost, and a reader sees it once.

A receiver that fails costs a delay and nothing else: nobody waits here. Failures are retried with a growing pause (or the one
the receiver asked for), and while a receiver is paused the others of its messages do not knock either. After
`Retry.tell_next_after` failures the next receiver of the route is told as well; after `Retry.max_attempts`, or where only a
person can help (a revoked token), the message is a dead letter: the next receiver gets all of it with the reason, and only
then it is marked dead. If none takes it, it stays due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from alerts.history import Item, candidate_of, compose, first_told, group_key, iso, log_entries
from alerts.message import DeliveryError, Message, Receipt
from alerts.model import Alert
from alerts.pipeline import (
    DEFAULT_INHIBITIONS,
    Candidate,
    Context,
    Group,
    Inhibition,
    Reason,
    Route,
    Silence,
    StageName,
    Timing,
    Withheld,
    run,
)
from alerts.stages import STAGES


class OutboxReader(Protocol):
    """Looks at the outbox; `controlplane.store.state.StateReader` is one."""

    def outbox_due(self, now: datetime) -> Sequence[Item]: ...
    def outbox(self) -> Sequence[Item]: ...


class OutboxWriter(Protocol):
    """Records what became of messages; `controlplane.store.state.StateWriter` is one."""

    def record_sending(self, outbox_id: str, receiver: str, now: datetime) -> None: ...
    def record_sent(self, outbox_id: str, receipt: Mapping[str, Any], now: datetime) -> None: ...
    def record_failed(self, outbox_id: str, error: str, retry_at: datetime | None) -> None: ...
    def record_suppressed(self, outbox_id: str, reason: str, now: datetime) -> None: ...


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
    """How alerts are routed, held back and retried. The last route must take everything."""

    routes: tuple[Route, ...]
    inhibitions: tuple[Inhibition, ...] = DEFAULT_INHIBITIONS
    silences: tuple[Silence, ...] = ()
    timing: Timing = field(default_factory=Timing)
    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if not self.routes or self.routes[-1].matcher.any_of or not self.routes[-1].receivers:
            raise ValueError("the last route must match everything and name a receiver, or alerts could be lost")


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
    """Until when a receiver is left alone, by name. Kept between runs by whoever calls `deliver_due`."""

    until: dict[str, datetime] = field(default_factory=dict)

    def active(self, receiver: str, now: datetime) -> bool:
        """Whether the receiver is paused now."""
        until = self.until.get(receiver)
        return until is not None and now < until


def deliver_due(
    reader: OutboxReader,
    writer: OutboxWriter,
    receivers: Mapping[str, Receiver],
    now: datetime,
    rules: Rules,
    pauses: Pauses | None = None,
    active: Sequence[Alert] = (),
) -> list[DeliveryResult]:
    """Tell all that is due at `now` and write what became of it. `active` are alerts that fire and were told before.

    Messages that waited for an earlier one of their incident follow in the same call. Errors of a receiver become results;
    only an error of the state itself is raised.
    """
    desk = _Desk(reader, writer, receivers, now, rules, pauses if pauses is not None else Pauses(), tuple(active))
    results: dict[str, DeliveryResult] = {}
    for _ in range(MAX_ROUNDS):
        due = [item for item in reader.outbox_due(now) if _is_open(results.get(item.outbox_id))]
        told = desk.round(due) if due else []
        results |= {result.outbox_id: result for result in told}
        if not any(result.result in (Result.SENT, Result.FOUND) for result in told):
            break
    return list(results.values())


MAX_ROUNDS = 20


def _is_open(result: DeliveryResult | None) -> bool:
    return result is None or result.result is Result.DELAYED


@dataclass(frozen=True, slots=True)
class _Desk:
    """One run: what it works with."""

    reader: OutboxReader
    writer: OutboxWriter
    receivers: Mapping[str, Receiver]
    now: datetime
    rules: Rules
    pauses: Pauses
    active: tuple[Alert, ...]

    def round(self, due: Sequence[Item]) -> list[DeliveryResult]:
        items = list(self.reader.outbox())
        candidates = [candidate_of(item) for item in due]
        context = Context(
            now=self.now,
            routes=self.rules.routes,
            entries=log_entries(items),
            active=self.active,
            inhibitions=self.rules.inhibitions,
            silences=self.rules.silences,
            timing=self.rules.timing,
        )
        outcome = run(STAGES, candidates, context)
        results = [self._withhold(withheld, candidates) for withheld in outcome.withheld]
        histories: dict[str, list[Item]] = {group.key: [] for group in outcome.groups}
        for item in items:
            if (key := group_key(item)) in histories:
                histories[key].append(item)
        # Fewest attempts first: while a receiver is down, an old message must not take every try of a newer incident.
        for group in sorted(outcome.groups, key=lambda g: (g.lead.attempts, g.lead.created_at)):
            results += self._tell(group, histories[group.key])
        return results

    def _withhold(self, withheld: Withheld, candidates: Sequence[Candidate]) -> DeliveryResult:
        incident = next(c.alert.incident_id for c in candidates if c.outbox_id == withheld.outbox_id)
        detail = f" ({withheld.detail})" if withheld.detail else ""
        reason = f"{withheld.stage.value}: {withheld.reason}{detail}"
        if withheld.reason.is_final:
            self.writer.record_suppressed(withheld.outbox_id, reason, self.now)
        result = Result.SUPPRESSED if withheld.reason.is_final else Result.DELAYED
        return DeliveryResult(withheld.outbox_id, incident, result, reason)

    def _tell(self, group: Group, history: Sequence[Item]) -> list[DeliveryResult]:
        """One message to the first receiver of the route; then the other members of the group."""
        lead, name = group.lead, group.receivers[0]
        if self.pauses.active(name, self.now):
            return [self._delayed(c, Reason.RECEIVER_PAUSED, self.pauses.until[name]) for c in group.members]
        alerted = first_told(history) or self.now
        message = compose(group, history, name, alerted)
        self.writer.record_sending(lead.outbox_id, name, self.now)
        receipt, problem = self._try(name, message)
        if problem is not None:
            rest = [self._delayed(c, Reason.WAITS_FOR_EARLIER, None) for c in group.members[1:]]
            return [self._failed(group, message, problem), *rest]
        told = receipt.get("told", list(message.told))
        stored = {**receipt, "receiver": name, "told": told, "sent_at": iso(self.now)}
        self.writer.record_sent(lead.outbox_id, stored, self.now)
        result = Result.FOUND if receipt.get("found") else Result.SENT
        sent = DeliveryResult(lead.outbox_id, lead.alert.incident_id, result, group.reason, name, stored, alerted)
        return [sent, *(self._told_with(c, lead, told) for c in group.members[1:])]

    def _told_with(self, candidate: Candidate, lead: Candidate, told: Sequence[str]) -> DeliveryResult:
        if candidate.alert.key not in told:  # the message that was found had been written without it
            return self._delayed(candidate, Reason.WAITS_FOR_EARLIER, None)
        withheld = Withheld(candidate.outbox_id, StageName.NOTIFY, Reason.GROUPED, lead.outbox_id)
        return self._withhold(withheld, [candidate])

    def _delayed(self, candidate: Candidate, reason: Reason, until: datetime | None) -> DeliveryResult:
        incident = candidate.alert.incident_id
        return DeliveryResult(candidate.outbox_id, incident, Result.DELAYED, reason, next_attempt_at=until)

    def _try(self, name: str, message: Message) -> tuple[Receipt, DeliveryError | None]:
        receiver = self.receivers.get(name)
        if receiver is None:
            known = ", ".join(sorted(self.receivers)) or "none"
            missing = f"no receiver is called '{name}' (known: {known}); correct the route or configure it"
            return {}, DeliveryError(missing, permanent=True)
        try:
            return receiver.send(message), None
        except DeliveryError as problem:
            return {}, problem
        except Exception as problem:  # a defect in one receiver must not keep the others from telling
            return {}, DeliveryError(f"{name}: unexpected {type(problem).__name__}: {problem}")

    def _failed(self, group: Group, message: Message, problem: DeliveryError) -> DeliveryResult:
        lead, name, retry = group.lead, group.receivers[0], self.rules.retry
        attempt = lead.attempts + 1
        pause = retry.pause(attempt, problem.retry_after)
        last = problem.permanent or attempt >= retry.max_attempts
        if not problem.permanent:
            self.pauses.until[name] = self.now + pause
        heard = self._tell_next(group, message, problem) if last or attempt == retry.tell_next_after else None
        retry_at = None if last and heard else self.now + (retry.longest if last else pause)
        self.writer.record_failed(lead.outbox_id, _error(problem, heard), retry_at)
        return DeliveryResult(
            lead.outbox_id,
            lead.alert.incident_id,
            Result.DEAD if retry_at is None else Result.FAILED,
            _error(problem, heard),
            heard or name,
            alerted_at=self.now if heard else None,
            next_attempt_at=retry_at,
        )

    def _tell_next(self, group: Group, message: Message, problem: DeliveryError) -> str | None:
        """Give the message, with what happened to it, to the route's next receiver that takes it; its name, or None."""
        note = f"Not delivered by {group.receivers[0]}: {problem}"
        escalated = replace(message, note=note, parent=None, in_doubt=False, parent_in_doubt=False)
        for name in group.receivers[1:]:
            _, refused = self._try(name, escalated)
            if refused is None:
                return name
        return None


def _error(problem: DeliveryError, heard: str | None) -> str:
    return f"{problem}" + (f" (told by {heard} instead)" if heard else "")
