"""Customers: who they are, and how they react to what they were really answered.

The rules, the same whoever answers:
- A need is met when an answer carries a fact the customer came for, the right workflow completed, or a person took over.
- An answer plainly about something else is a miss. An answer on the subject but without the fact misleads the trusting: they
  leave content, find out later, and come back or rate low; the others notice, and it is a miss too.
- A question, a confirmation or a list of choices is answered as a person would: the choice that names their subject, yes only to
  what they want, the detail asked for. Each costs a little patience, a miss costs more, so does every slow answer.
- Long lists put some off: they ask for a person instead of choosing, and some choose wrongly.
- After a miss they ask again in plainer words, ask for a person, or give up; without patience only the last two are left.
- The rating follows from how it ended, the effort, the misses, the waiting, the customer's own bias, and chance.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import StrEnum

from controlplane.assistant.model import Reply, ReplyKind, WorkflowStatus
from controlplane.simulation.needs import Need
from controlplane.simulation.wording import PERSON_REQUESTS, fill, say_again, type_out

SEGMENTS = (("established", 0.7), ("new", 0.3))
REGIONS = (("south", 0.4), ("north", 0.3), ("scotland", 0.15), ("wales", 0.15))
CHANNELS = (("app", 0.65), ("web", 0.35))

PATIENT_WAIT_SECONDS = 4.0  # an answer within this time feels immediate in a support chat
PATIENCE_PER_SLOW_SECOND = 0.12
PROMPT_COST = 0.3
MISS_COST = 1.0
PUT_OFF_BY_LIST = 0.07
CHOOSES_WRONGLY = 0.05
ASKS_PERSON_PER_MISS = (
    0.15,
    0.15,
)  # chance to ask for a person after a miss: the first, plus the second for each miss so far
PERSON_WORDS = ("agent", "person", "human", "colleague", "someone", "adviser")
ELSE_WORDS = ("something else", "other", "none of")
YES = ("yes", "yes please", "yes, go ahead", "ok do it", "Yes")
NO = ("no", "no, that's not it", "No thanks")


class Outcome(StrEnum):
    """What one reply did for the need."""

    MET = "met"
    PERSON = "person"
    ASKED = "asked"
    DOUBTFUL = "doubtful"
    MISSED = "missed"
    FAILED = "failed"


class Ending(StrEnum):
    """How a conversation ended for the customer."""

    HELPED = "helped"
    PERSON = "person"
    MISLED = "misled"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Customer:
    """A person. `patience` is the number of misses they bear, `trust` and `sloppiness` are chances in [0, 1], `bias` is in rating points."""

    customer_id: str
    segment: str
    region: str
    channel: str
    employee: bool
    patience: float
    trust: float
    sloppiness: float
    bias: float


@dataclass(frozen=True, slots=True)
class Memory:
    """What a customer carries through one conversation. `waited` is in seconds."""

    patience: float
    turns: int = 0
    misses: int = 0
    waited: float = 0.0
    details_given: int = 0
    person_requests: int = 0
    chosen: frozenset[str] = frozenset()
    ending: Ending | None = None


def draw_customer(customer_id: str, employee_share: float, rng: random.Random) -> Customer:
    """A new customer; every trait from `rng`."""
    return Customer(
        customer_id=customer_id,
        segment=_weighted(SEGMENTS, rng),
        region=_weighted(REGIONS, rng),
        channel=_weighted(CHANNELS, rng),
        employee=rng.random() < employee_share,
        patience=rng.uniform(1.3, 3.8),
        trust=rng.betavariate(2, 6),
        sloppiness=rng.betavariate(1.5, 5),
        bias=rng.gauss(0.0, 0.35),
    )


def open_conversation(customer: Customer, need: Need, again: bool, rng: random.Random) -> tuple[Memory, str]:
    """The memory a conversation starts with and its first message. Who comes back with the same need has less patience left."""
    text = type_out(need.opening(rng), customer.sloppiness, rng)
    if again:
        text = rng.choice(("Me again. ", "I asked this before. ", "Second time I'm asking: ", "")) + text
    return Memory(patience=customer.patience - (0.6 if again else 0.0)), text


def judge(need: Need, reply: Reply) -> Outcome:
    """What this reply did for the need, judged by its words and by what was really done."""
    if reply.escalated or reply.kind is ReplyKind.HANDOVER:
        return Outcome.PERSON
    if (
        need.workflow is not None
        and reply.workflow == need.workflow
        and reply.workflow_status is WorkflowStatus.COMPLETED
    ):
        return Outcome.MET
    if reply.kind in (ReplyKind.ERROR, ReplyKind.DECLINE, ReplyKind.RATE_LIMITED):
        return Outcome.FAILED
    if need.answered_by(reply.answer):
        return Outcome.MET
    if reply.kind in (ReplyKind.CLARIFY, ReplyKind.CONFIRM, ReplyKind.MENU):
        return Outcome.ASKED
    return Outcome.DOUBTFUL if need.touched_by(reply.answer) and not need.person else Outcome.MISSED


def react(
    customer: Customer, need: Need, memory: Memory, reply: Reply, rng: random.Random
) -> tuple[Memory, str | None]:
    """The customer's next message, or None with `ending` set when they leave."""
    seconds = reply.latency_ms / 1000
    slow = max(0.0, seconds - PATIENT_WAIT_SECONDS) * PATIENCE_PER_SLOW_SECOND
    memory = replace(memory, turns=memory.turns + 1, waited=memory.waited + seconds, patience=memory.patience - slow)
    outcome = judge(need, reply)
    if outcome is Outcome.MET:
        return replace(memory, ending=Ending.HELPED), None
    if outcome is Outcome.PERSON:
        return replace(memory, ending=Ending.PERSON), None
    if outcome is Outcome.ASKED:
        return _answer_question(customer, need, memory, reply, rng)
    if outcome is Outcome.DOUBTFUL and rng.random() < customer.trust:
        return replace(memory, ending=Ending.MISLED), None
    return _after_a_miss(customer, need, memory, rng)


def rating(customer: Customer, need: Need, memory: Memory, found_out: bool, rng: random.Random) -> int:
    """Rating 1..5 of a finished conversation. `found_out`: a misled customer already knows that the answer was wrong."""
    if memory.ending is Ending.HELPED:
        base = 4.7
    elif memory.ending is Ending.PERSON:
        base = 4.3 if need.person else 3.7
    elif memory.ending is Ending.MISLED and not found_out:
        base = 4.2
    else:
        base = 1.6
    effort = 0.15 * max(0, memory.turns - 1) + 0.35 * memory.misses
    waiting = min(1.5, 0.12 * max(0.0, memory.waited - PATIENT_WAIT_SECONDS))
    return min(5, max(1, round(base - effort - waiting + customer.bias + rng.gauss(0.0, 0.6))))


def _answer_question(
    customer: Customer, need: Need, memory: Memory, reply: Reply, rng: random.Random
) -> tuple[Memory, str | None]:
    memory = replace(memory, patience=memory.patience - PROMPT_COST)
    if memory.patience <= 0:
        return _lose_patience(memory, rng)
    if reply.options:
        return _choose(customer, need, memory, reply.options, rng)
    if reply.kind is ReplyKind.CONFIRM:
        return memory, rng.choice(YES if reply.workflow is not None and reply.workflow == need.workflow else NO)
    if reply.workflow is not None and reply.workflow == need.workflow and memory.details_given < len(need.details):
        detail = fill(need.details[memory.details_given], rng)
        return replace(memory, details_given=memory.details_given + 1), detail
    return memory, say_again(rng.choice(need.plainer), customer.sloppiness, rng)


def _choose(
    customer: Customer, need: Need, memory: Memory, options: tuple[str, ...], rng: random.Random
) -> tuple[Memory, str | None]:
    if rng.random() < PUT_OFF_BY_LIST:
        return _ask_for_person(memory, rng)
    wanted = PERSON_WORDS if memory.person_requests else need.choices
    fresh = [i for i, option in enumerate(options) if option not in memory.chosen]
    best = max(fresh, key=lambda i: _match(options[i], wanted), default=None)
    if best is None or _match(options[best], wanted) == 0:
        best = next((i for i in fresh if _match(options[i], ELSE_WORDS)), None)
    if best is None:
        return _after_a_miss(customer, need, memory, rng)
    if rng.random() < CHOOSES_WRONGLY:
        best = rng.choice(fresh)
    return replace(memory, chosen=memory.chosen | {options[best]}), str(best + 1)


def _match(option: str, words: tuple[str, ...]) -> int:
    """How well a choice fits: the number of looked-for words it names; earlier words weigh more."""
    lowered = option.casefold()
    return sum(len(words) - i for i, word in enumerate(words) if word in lowered)


def _after_a_miss(customer: Customer, need: Need, memory: Memory, rng: random.Random) -> tuple[Memory, str | None]:
    memory = replace(memory, misses=memory.misses + 1, patience=memory.patience - MISS_COST)
    if memory.patience <= 0:
        return _lose_patience(memory, rng)
    chance = rng.random()
    asks_person = 0.7 if need.person else ASKS_PERSON_PER_MISS[0] + ASKS_PERSON_PER_MISS[1] * memory.misses
    if chance < asks_person:
        return _ask_for_person(memory, rng)
    if chance > 0.95:
        return replace(memory, ending=Ending.GAVE_UP), None
    return memory, say_again(rng.choice(need.plainer), customer.sloppiness, rng)


def _lose_patience(memory: Memory, rng: random.Random) -> tuple[Memory, str | None]:
    if memory.person_requests < 2 and rng.random() < 0.75:
        return _ask_for_person(memory, rng)
    return replace(memory, ending=Ending.GAVE_UP), None


def _ask_for_person(memory: Memory, rng: random.Random) -> tuple[Memory, str]:
    return replace(memory, person_requests=memory.person_requests + 1), rng.choice(PERSON_REQUESTS)


def _weighted(choices: tuple[tuple[str, float], ...], rng: random.Random) -> str:
    draw = rng.random()
    for value, share in choices:
        draw -= share
        if draw < 0:
            return value
    return choices[-1][0]
