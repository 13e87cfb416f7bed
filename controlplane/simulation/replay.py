"""Replays real customer messages: each is the first message of a conversation and goes the way live traffic goes.

The message is screened, the exposure is asked for, and the assistant or the menu answers once. Nobody reacts and nobody rates,
because nobody knows what these customers would have done. Customers are drawn from the seed, so the same file and seed meet the
same arms; the time of a message is the clock's when it is sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.assistant.model import Message, SafetyRoute
from controlplane.assistant.protocols import Responder
from controlplane.assistant.record import Record
from controlplane.core.model import Arm
from controlplane.simulation.customers import Customer, draw_customer
from controlplane.simulation.service_desk import Expose, Screener, ServiceDesk

BATCH = 200


@dataclass(slots=True)
class ReplayCounts:
    """What a replay did. `arms` and `routes` count conversations; an escalated one was handed to a person at once."""

    messages: int = 0
    conversations: int = 0
    escalated: int = 0
    safety_routed: int = 0
    arms: dict[str, int] = field(default_factory=lambda: {str(arm): 0 for arm in Arm})
    routes: dict[str, int] = field(default_factory=lambda: {str(route): 0 for route in SafetyRoute})

    def as_dict(self) -> dict[str, object]:
        """The counts as JSON types."""
        return {
            "messages": self.messages,
            "conversations": self.conversations,
            "arms": dict(self.arms),
            "escalated": self.escalated,
            "safety_routed": self.safety_routed,
            "routes": dict(self.routes),
        }


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """How messages are sent. `run_id` begins every conversation's id, so that two replays never share one."""

    run_id: str
    seed: int
    low_risk_intents: frozenset[str] = frozenset()
    employee_share: float = 0.0
    answer_rate: float = 1.0


def replay_messages(
    texts: Iterable[str],
    plan: ReplayPlan,
    *,
    assistant: Screener,
    menu: Responder,
    expose: Expose,
    clock: Callable[[], datetime],
    write: Callable[[list[Record]], object],
    on_progress: Callable[[int], None] = lambda sent: None,
) -> ReplayCounts:
    """Sends every text and writes its records in batches, in order; `clock` gives aware UTC times that never go back."""
    desk = ServiceDesk(assistant, menu, expose, plan.low_risk_intents, plan.answer_rate)
    rng = random.Random(f"{plan.seed}:replay")
    counts, waiting = ReplayCounts(), list[Record]()
    for number, text in enumerate(texts, 1):
        customer = draw_customer(f"replay-s{plan.seed}-u{number:06d}", plan.employee_share, rng)
        waiting += _send(desk, customer, _message(plan, number, customer, text, clock()), counts)
        if number % BATCH == 0:
            write(waiting)
            waiting = []
        on_progress(number)
    if waiting:
        write(waiting)
    return counts


def _send(desk: ServiceDesk, customer: Customer, message: Message, counts: ReplayCounts) -> list[Record]:
    served, exposure = desk.admit(message, customer.employee)
    reply, records = desk.answer(served, message)
    counts.messages += 1
    counts.conversations += 1
    counts.arms[str(served.exposure.arm)] += 1
    counts.escalated += reply.escalated
    if reply.safety_route is not None:
        counts.safety_routed += 1
        counts.routes[str(reply.safety_route)] += 1
    return [exposure, *records]


def _message(plan: ReplayPlan, number: int, customer: Customer, text: str, now: datetime) -> Message:
    return Message(
        conversation_id=f"{plan.run_id}-c{number:06d}",
        turn=1,
        user_id=customer.customer_id,
        text=text,
        ts=now,
        channel=customer.channel,
        region=customer.region,
        segment=customer.segment,
    )
