"""From the outbox to people: the hands of the alert pipeline.

A message is **routed** first: its row is given the name of a route, and copies are added for the other routes that take it, in one transaction. For
each message that is told, **sending** is written first, then the receiver is asked once, then the result is written. A crash between any two of these
steps leaves the message due again, with an attempt on record; the receiver then looks up whether it arrived before it sends again. So nothing
acknowledged is lost, and a reader sees it once.

A receiver that fails costs a delay and nothing else: nobody waits here. Failures are retried with a growing pause (or the one
the receiver asked for), and while a receiver is paused the others of its messages do not knock either. After
`Retry.tell_next_after` failures the next receiver of the route is told as well, and at once of something grave while a receiver is known to be
down; after `Retry.max_attempts`, or where only a person can help (a revoked token), the message is a dead letter: the next receiver gets all of it
with the reason, and only then it is marked dead, with an alert of its own (`delivery_failed`) that goes by another receiver. If none takes it, it
stays due, unless the message goes by another route as well (`continue`): then people have it, and must hear that this receiver is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from alerts.dead_letter import news_of, over_of, prefix_of
from alerts.delivery import (
    DeliveryResult,
    OutboxReader,
    OutboxWriter,
    Pauses,
    Receiver,
    Result,
    Retry,
    Rules,
)
from alerts.fan_out import assign
from alerts.history import Item, candidate_of, chain_of_item, compose, first_told, iso, log_entry
from alerts.message import DeliveryError, Message, Receipt
from alerts.model import Alert, Severity
from alerts.pipeline import (
    Candidate,
    Context,
    Group,
    Reason,
    StageName,
    Withheld,
    chain_of,
    is_urgent,
    receivers_for,
    route_of,
    run,
)
from alerts.reminders import reminders
from alerts.stages import STAGES

__all__ = [
    "DeliveryResult",
    "OutboxReader",
    "OutboxWriter",
    "Pauses",
    "Receiver",
    "Result",
    "Retry",
    "Rules",
    "deliver_due",
    "waiting_for",
]

MAX_ROUNDS = 20
PATIENCE = timedelta(
    seconds=10
)  # a grave message does not wait longer for a paused receiver before its stand-in is told
REMIND_EVERY = timedelta(seconds=30)


def deliver_due(
    reader: OutboxReader,
    writer: OutboxWriter,
    receivers: Mapping[str, Receiver],
    now: datetime,
    rules: Rules,
    pauses: Pauses | None = None,
    active: Callable[[], Sequence[Alert]] = tuple,
    only: str | None = None,
) -> list[DeliveryResult]:
    """Tell all that is due at `now` and write what became of it. `active` looks up the alerts that fire and were told before,
    and is asked only where something is due.

    `only`: what `waiting_for` has routed to this receiver, and nothing else. So several receivers may be told at once, each by one caller at a time.

    Messages that waited for an earlier one of their chain follow in the same call. Errors of a receiver become results;
    only an error of the state itself is raised.
    """
    desk = _Desk(reader, writer, receivers, now, rules, pauses if pauses is not None else Pauses(), active, only)
    if only is None:
        desk.remind()
    for _ in range(MAX_ROUNDS):
        due = desk.due()
        told = desk.round(due) if due else []
        if not any(result.result in (Result.SENT, Result.FOUND, Result.DEAD) for result in told):
            break
    return list(desk.results.values())


def waiting_for(
    reader: OutboxReader, writer: OutboxWriter, now: datetime, rules: Rules, pauses: Pauses
) -> frozenset[str]:
    """Route what is due at `now`, reminders with it: the receivers that have something to tell. To be called by one caller at a time."""
    desk = _Desk(reader, writer, {}, now, rules, pauses, tuple)
    desk.remind()
    return frozenset(map(desk.teller, desk.due()))


@dataclass(frozen=True, slots=True)
class _Desk:
    """One run: what it works with, and what became of each message so far."""

    reader: OutboxReader
    writer: OutboxWriter
    receivers: Mapping[str, Receiver]
    now: datetime
    rules: Rules
    pauses: Pauses
    active: Callable[[], Sequence[Alert]]
    only: str | None = None
    results: dict[str, DeliveryResult] = field(default_factory=dict)

    def remind(self) -> None:
        """Write the reminders of incidents that still fire; looked at now and then, for it reads every open incident."""
        if self.pauses.reminded_at is not None and self.now - self.pauses.reminded_at < REMIND_EVERY:
            return
        self.pauses.reminded_at = self.now
        if incidents := self.reader.unfinished_incidents():
            for message, route in reminders(self.reader.outbox_of(incidents), self.rules, self.now):
                self.writer.add_message(message, self.now, route)

    def due(self) -> list[Item]:
        """What is due and not settled in this run, every message with a route that exists."""
        found = self._open(self.reader.outbox_due(self.now))
        names = {route.name for route in self.rules.routes}
        if self.only is not None:
            return [
                item for item in found if item.route in names and self.teller(item) == self.only
            ]  # the rest is not routed yet
        lost = [item for item in found if item.route not in names]
        if not lost:
            return found
        history = self.reader.outbox_of({item.incident_id for item in lost if item.incident_id})
        assigned = assign(lost, history, self.rules.routes)
        if assigned.routes:
            self.writer.record_routed(assigned.routes)
        for outbox_id, route in assigned.gone.items():
            self._settle(
                [Withheld(outbox_id, StageName.ROUTE, Reason.NO_ROUTE, f"'{route}' is no route any more")], lost
            )
        return self._open(self.reader.outbox_due(self.now))

    def teller(self, item: Item) -> str:
        """Who is asked first to tell it; "" where no route takes it."""
        candidate, routes = candidate_of(item), self.rules.routes
        route = route_of(candidate, routes)
        asked = () if route is None else receivers_for(route, candidate.alert, routes)
        return asked[0] if asked else ""

    def _open(self, items: Iterable[Item]) -> list[Item]:
        return [item for item in items if self._is_open(item.outbox_id)]

    def _is_open(self, outbox_id: str) -> bool:
        result = self.results.get(outbox_id)
        return result is None or result.result is Result.DELAYED

    def round(self, due: Sequence[Item]) -> list[DeliveryResult]:
        """One pass of the pipeline over what is due and what is open in the same chains."""
        routes = self.rules.routes
        candidates = {item.outbox_id: candidate_of(item) for item in due}
        incidents = {c.alert.incident_id for c in candidates.values() if c.alert.incident_id}
        loose = any(c.alert.incident_id is None for c in candidates.values())
        history = self.reader.outbox_of(incidents, self.now - self.rules.longest_repeat if loose else None)
        chains: dict[str, list[Item]] = {chain_of(c, routes): [] for c in candidates.values()}
        for item in history:
            if (key := chain_of_item(item, routes)) in chains:
                chains[key].append(item)
                if item.status == "sending" and self._is_open(item.outbox_id):  # begun: it goes first
                    candidates.setdefault(item.outbox_id, candidate_of(item))
        outcome = run(STAGES, list(candidates.values()), self._context(chains))
        results = self._settle(outcome.withheld, history)
        for group in sorted(outcome.groups, key=self._turn):
            mine = [item for item in history if item.incident_id and item.incident_id == group.lead.alert.incident_id]
            results += self._tell(group, chains[group.key], first_told(mine or chains[group.key]) or self.now)
        self.results.update({result.outbox_id: result for result in results})
        self._let_wait(results)
        return results

    def _let_wait(self, results: Iterable[DeliveryResult]) -> None:
        """What waits for a receiver is not read again before that may be asked: an outage must not make every round longer."""
        by_time: dict[datetime, list[str]] = {}
        for result in results:
            if result.result is Result.DELAYED and result.next_attempt_at is not None:
                by_time.setdefault(result.next_attempt_at, []).append(result.outbox_id)
        for until, ids in by_time.items():
            self.writer.record_waiting(ids, until)

    def _context(self, chains: Mapping[str, Sequence[Item]]) -> Context:
        entries = {key: entry for key, items in chains.items() if (entry := log_entry(items)) is not None}
        rules = self.rules
        return Context(
            now=self.now,
            routes=rules.routes,
            entries=entries,
            active=tuple(self.active()),
            inhibitions=rules.inhibitions,
            silences=rules.silences,
            timing=rules.timing,
        )

    def _turn(self, group: Group) -> tuple[bool, bool, int, datetime]:
        # While a receiver hangs, the others go first; and an old message must not take every try of a newer incident.
        ailing = bool(self.pauses.failures.get(group.receivers[0]))
        return ailing, not any(map(is_urgent, group.members)), group.lead.attempts, group.lead.created_at

    def _settle(self, withheld: Sequence[Withheld], items: Iterable[Item]) -> list[DeliveryResult]:
        """Write what is withheld for good, all at once; the results."""
        incidents = {item.outbox_id: item.incident_id for item in items}
        reasons = {one.outbox_id: _why(one) for one in withheld}
        final = {one.outbox_id: reasons[one.outbox_id] for one in withheld if one.reason.is_final}
        if final:
            self.writer.record_suppressed(final, self.now)
        found = [
            DeliveryResult(
                outbox_id,
                incidents.get(outbox_id),
                Result.SUPPRESSED if outbox_id in final else Result.DELAYED,
                reason,
            )
            for outbox_id, reason in reasons.items()
        ]
        self.results.update({result.outbox_id: result for result in found})
        return found

    def _tell(self, group: Group, history: Sequence[Item], alerted: datetime) -> list[DeliveryResult]:
        """One message to the first receiver of the route."""
        lead, name = group.lead, group.receivers[0]
        until = self.pauses.until.get(name)
        paused = until is not None and self.now < until
        if until is not None and paused and not self._cannot_wait(group, until):
            return [self._delayed(c, Reason.RECEIVER_PAUSED, until) for c in group.all]
        timing = self.rules.timing_of(lead.route)
        message = compose(group, history, name, alerted, timing.repeat_interval)
        self.writer.record_sending(lead.outbox_id, name, self.now)
        if until is not None and paused:
            problem: DeliveryError | None = DeliveryError(f"{name}: asked for a pause until {iso(until)}")
            receipt: Receipt = {}
        else:
            receipt, problem = self._try(name, message)
        if problem is not None:
            return self._failed(group, message, problem, until if paused else None)
        return self._sent(group, message, receipt, alerted)

    def _cannot_wait(self, group: Group, until: datetime) -> bool:
        """Whether the next receiver is to be told of it now, since the first is not to be asked for a while."""
        grave = any(c.alert.severity.rank <= Severity.ERROR.rank for c in group.members)
        return grave and group.lead.attempts == 0 and len(group.receivers) > 1 and until - self.now > PATIENCE

    def _sent(self, group: Group, message: Message, receipt: Receipt, alerted: datetime) -> list[DeliveryResult]:
        lead, name = group.lead, group.receivers[0]
        found = bool(receipt.get("found"))
        # A message that was found and does not say what it told was written for its lead at least.
        told = receipt.get("told", [lead.alert.key] if found else list(message.told))
        stored = {**receipt, "receiver": name, "told": told, "sent_at": iso(self.now)}
        words = _grouped(group, told)
        self.writer.record_sent(lead.outbox_id, stored, self.now, words)
        self.pauses.stood_in.discard(lead.outbox_id)
        if self.pauses.took(name):
            self._recovered(name)
        incident, result = lead.alert.incident_id, Result.FOUND if found else Result.SENT
        sent = DeliveryResult(lead.outbox_id, incident, result, group.reason, name, stored, alerted)
        return [sent, *self._rest(group, words)]

    def _rest(self, group: Group, words: Mapping[str, str], until: datetime | None = None) -> list[DeliveryResult]:
        """Of the group's other messages: those told inside (`words` by id), and those that still wait, `until` when."""
        others = [c for c in group.all if c is not group.lead]
        waiting = [self._delayed(c, Reason.WAITS_FOR_EARLIER, until) for c in others if c.outbox_id not in words]
        incident = group.lead.alert.incident_id
        return [*waiting, *(DeliveryResult(one, incident, Result.SUPPRESSED, why) for one, why in words.items())]

    def _recovered(self, name: str) -> None:
        newest = self.reader.newest_message(prefix_of(name))
        if newest is not None and (over := over_of(newest, self.now)) is not None:
            self.writer.add_message(over, self.now)

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

    def _failed(
        self, group: Group, message: Message, problem: DeliveryError, paused_until: datetime | None
    ) -> list[DeliveryResult]:
        """An attempt that did not succeed, or (`paused_until`) was not made because the receiver is paused for long."""
        lead, name, retry = group.lead, group.receivers[0], self.rules.retry
        attempt = lead.attempts + 1
        until = paused_until or self.now + retry.pause(attempt, problem.retry_after)
        last = problem.permanent or attempt >= retry.max_attempts
        if paused_until is None:
            failures = self.pauses.failed(name, None if problem.permanent else until)
            down = failures > retry.tell_next_after and attempt == 1
        else:
            down = True
        soon = (down or attempt == retry.tell_next_after) and lead.outbox_id not in self.pauses.stood_in
        heard = self._tell_next(group, message, problem) if last or soon else None
        if heard is not None:
            self.pauses.stood_in.add(lead.outbox_id)
        over = last and bool(heard or self._goes_on(lead))
        retry_at = None if over else self.now + retry.longest if last else until
        error = _error(problem, heard)
        news = news_of(lead, name, error, self.now) if retry_at is None else None
        words = _grouped(group, message.told) if retry_at is None else {}
        self.writer.record_failed(lead.outbox_id, error, retry_at, self.now, news, words)
        failed = DeliveryResult(
            lead.outbox_id,
            lead.alert.incident_id,
            Result.DEAD if retry_at is None else Result.FAILED,
            error,
            heard or name,
            alerted_at=self.now if heard else None,
            next_attempt_at=retry_at,
        )
        return [failed, *self._rest(group, words, retry_at)]

    def _goes_on(self, candidate: Candidate) -> bool:
        """Whether the message goes by another route as well, so that people have it although nobody stands in here."""
        route = route_of(candidate, self.rules.routes)
        return route is not None and route.continue_

    def _tell_next(self, group: Group, message: Message, problem: DeliveryError) -> str | None:
        """Give the message, with what happened to it, to the route's next receiver that takes it; its name, or None."""
        note = f"Not delivered by {group.receivers[0]}: {problem}"
        escalated = replace(message, note=note, parent=None, in_doubt=False, parent_in_doubt=False)
        for name in group.receivers[1:]:
            _, refused = self._try(name, escalated)
            if refused is None:
                return name
        return None


def _grouped(group: Group, told: Sequence[str]) -> dict[str, str]:
    """The other messages of the group whose alert keys are among those told, by id, with the words that say so."""
    lead = group.lead
    inside = [c.outbox_id for c in group.all if c is not lead and c.alert.key in told]
    return {one: _why(Withheld(one, StageName.NOTIFY, Reason.GROUPED, lead.outbox_id)) for one in inside}


def _why(withheld: Withheld) -> str:
    detail = f" ({withheld.detail})" if withheld.detail else ""
    return f"{withheld.stage.value}: {withheld.reason}{detail}"


def _error(problem: DeliveryError, heard: str | None) -> str:
    return f"{problem}" + (f" (told by {heard} instead)" if heard else "")
