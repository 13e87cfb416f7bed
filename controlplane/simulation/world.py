"""The simulated world: customers with true needs, served by whichever arm they are exposed to, in story time.

Rules
- Lazy in time: a message is written, and answered, when its moment comes. What is deployed at a moment changes only later
  turns, and harm is never written into a log: it follows from what was really answered.
- A conversation keeps its arm to its end; after a cut no new one is exposed to the assistant.
- Deterministic for a seed, whatever the steps of `advance`: arrivals have a generator of their own, every conversation has
  one, and whatever is due at one moment happens in the order in which it was planned.
- A record is handed out by the first `advance` that reaches its time stamp, never earlier.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from controlplane.assistant.model import Message, Reply
from controlplane.assistant.protocols import Responder
from controlplane.assistant.record import Record
from controlplane.simulation.aftermath import AftermathConfig, aftermath
from controlplane.simulation.clock_queue import ClockQueue
from controlplane.simulation.customers import Customer, Ending, Memory, open_conversation, react
from controlplane.simulation.needs import Need, all_needs
from controlplane.simulation.records import feedback_record
from controlplane.simulation.review import ReviewConfig, audit
from controlplane.simulation.service_desk import Expose, Screener, Served, ServiceDesk
from controlplane.simulation.traffic import Traffic, TrafficConfig

MAX_TURNS = 12
READ_WORDS_PER_SECOND = 4.0
LONGEST_READ_SECONDS = 15.0
TYPED_CHARACTERS_PER_SECOND = 5.0
THINKING_SECONDS = (2.0, 9.0)


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """`low_risk_intents` are those of the policy; the rest describes traffic, what follows conversations, and reviews."""

    low_risk_intents: frozenset[str] = frozenset()
    traffic: TrafficConfig = field(default_factory=TrafficConfig)
    aftermath: AftermathConfig = field(default_factory=AftermathConfig)
    review: ReviewConfig = field(default_factory=ReviewConfig)


@dataclass(slots=True)
class _Conversation:
    """A conversation under way; `text` is the message that is sent when its moment comes."""

    conversation_id: str
    customer: Customer
    need: Need
    rng: random.Random
    memory: Memory
    text: str
    served: Served | None = None


@dataclass(frozen=True, slots=True)
class _Arrival:
    """The traffic's next customer comes."""


@dataclass(frozen=True, slots=True)
class _Return:
    """A customer whose need is still open comes back with it."""

    conversation_id: str
    customer: Customer
    need: Need


class World:
    """Customers, their conversations and their records."""

    def __init__(
        self,
        seed: int,
        config: WorldConfig,
        start: datetime,
        *,
        assistant: Screener,
        menu: Responder,
        expose: Expose,
        agent_version: str | None = None,
    ) -> None:
        """`start` is timezone-aware; the first customer comes after it. `expose` is asked once for each conversation.

        `agent_version` is what the log calls the assistant; by default its own version.
        """
        self._seed = seed
        self._config = config
        rate = config.review.answer_rate
        self._desk = ServiceDesk(assistant, menu, expose, config.low_risk_intents, rate, agent_version)
        self._traffic = Traffic(seed, config.traffic, all_needs())
        self._events: ClockQueue[_Arrival | _Return | _Conversation] = ClockQueue()
        self._records: ClockQueue[Record] = ClockQueue()
        self._now = start
        self._employees: dict[str, Need] = {}  # by conversation: what a reviewer of the internal phase may know
        self._events.push(self._traffic.next_time(start), _Arrival())

    @property
    def now(self) -> datetime:
        """How far the world has come."""
        return self._now

    def employee_need(self, conversation_id: str) -> Need | None:
        """The true need behind an employee's conversation; None for anybody else's."""
        return self._employees.get(conversation_id)

    def deploy(self, assistant: Screener, agent_version: str | None = None) -> None:
        """From now on this assistant answers, in running conversations too."""
        self._desk.deploy(assistant, agent_version)

    def advance(self, until: datetime) -> list[Record]:
        """Lets time pass; the landing records with now < ts <= until, in time order."""
        if until < self._now:
            raise ValueError(f"the world is at {self._now.isoformat()} and cannot go back to {until.isoformat()}")
        for due, event in self._events.pop_until(until):
            self._happen(event, due)
        self._now = until
        return [record for _, record in self._records.pop_until(until)]

    def _happen(self, event: _Arrival | _Return | _Conversation, now: datetime) -> None:
        if isinstance(event, _Arrival):
            arrival = self._traffic.next_arrival()
            self._events.push(self._traffic.next_time(now), event)
            self._open(f"s{self._seed}-c{arrival.number:06d}", arrival.customer, arrival.need, now, again=False)
        elif isinstance(event, _Return):
            self._open(event.conversation_id, event.customer, event.need, now, again=True)
        else:
            self._take_turn(event, now)

    def _open(self, conversation_id: str, customer: Customer, need: Need, now: datetime, *, again: bool) -> None:
        rng = random.Random(f"{self._seed}:{conversation_id}")
        if customer.employee:
            self._employees[conversation_id] = need
        memory, text = open_conversation(customer, need, again, rng)
        self._take_turn(_Conversation(conversation_id, customer, need, rng, memory, text), now)

    def _take_turn(self, conversation: _Conversation, now: datetime) -> None:
        message = _message(conversation, now)
        first = conversation.served is None
        if conversation.served is None:
            conversation.served, exposure = self._desk.admit(message, conversation.customer.employee)
            self._records.push(now, exposure)
        reply, records = self._desk.answer(conversation.served, message)
        for record in records:
            self._records.push(now, record)
        if first:
            for when, label in audit(message, reply, conversation.need, self._config.review, conversation.rng):
                self._records.push(when, label)
        self._react(conversation, reply, now)

    def _react(self, conversation: _Conversation, reply: Reply, now: datetime) -> None:
        rng = conversation.rng
        memory, text = react(conversation.customer, conversation.need, conversation.memory, reply, rng)
        if text is not None and memory.turns >= MAX_TURNS:
            memory, text = replace(memory, ending=Ending.GAVE_UP), None
        conversation.memory = memory
        answered = now + timedelta(milliseconds=reply.latency_ms)
        if text is None:
            self._finish(conversation, answered + timedelta(seconds=_reading(reply.answer)))
            return
        conversation.text = text
        seconds = _reading(reply.answer) + rng.uniform(*THINKING_SECONDS) + len(text) / TYPED_CHARACTERS_PER_SECOND
        self._events.push(answered + timedelta(seconds=seconds), conversation)

    def _finish(self, conversation: _Conversation, ended: datetime) -> None:
        customer, need = conversation.customer, conversation.need
        after = aftermath(customer, need, conversation.memory, ended, self._config.aftermath, conversation.rng)
        if after.feedback is not None:
            given = after.feedback
            record = feedback_record(
                conversation.conversation_id, given.csat, given.resolved, given.comment, given.when
            )
            self._records.push(given.when, record)
        if after.returns_at is not None:
            self._events.push(after.returns_at, _Return(f"{conversation.conversation_id}r", customer, need))


def _message(conversation: _Conversation, now: datetime) -> Message:
    customer = conversation.customer
    return Message(
        conversation_id=conversation.conversation_id,
        turn=conversation.memory.turns + 1,
        user_id=customer.customer_id,
        text=conversation.text,
        ts=now,
        channel=customer.channel,
        region=customer.region,
        segment=customer.segment,
    )


def _reading(text: str) -> float:
    """Seconds to read an answer; the standing sentence before the first one is skipped by everybody."""
    return min(LONGEST_READ_SECONDS, len(text.split()) / READ_WORDS_PER_SECOND)
