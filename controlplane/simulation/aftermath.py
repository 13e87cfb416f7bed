"""What follows a conversation: the answer to the rating request, finding out about a wrong answer, coming back.

Unhappy customers answer the rating request sooner. A misled customer finds out later; a rating given after that is a bad one,
and so is the second conversation, which begins with less patience.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.simulation.customers import Customer, Ending, Memory, rating
from controlplane.simulation.needs import Need

HAPPY_FROM = 4
COMMENTS: dict[Ending, tuple[str, ...]] = {
    Ending.HELPED: ("quick and clear", "that helped, thanks", "solved my problem"),
    Ending.PERSON: ("had to talk to a person in the end", "your colleague was helpful"),
    Ending.MISLED: ("the answer was wrong", "what I was told did not work"),
    Ending.GAVE_UP: ("nobody understood my question", "useless, I gave up", "going round in circles"),
}


@dataclass(frozen=True, slots=True)
class AftermathConfig:
    """Shares in [0, 1]; the delays are means of exponential distributions."""

    feedback_rate: float = 0.6
    comment_rate: float = 0.15
    happy_minutes: float = 4.0
    unhappy_minutes: float = 2.0
    found_out_minutes: float = 40.0
    return_hours: float = 1.5
    misled_return: float = 0.8
    gave_up_return: float = 0.45


@dataclass(frozen=True, slots=True)
class Feedback:
    """An answer to the rating request."""

    when: datetime
    csat: int
    resolved: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`feedback` is None when the request is ignored, `returns_at` None when the customer does not come back with this need."""

    feedback: Feedback | None
    returns_at: datetime | None


def aftermath(
    customer: Customer, need: Need, memory: Memory, ended: datetime, config: AftermathConfig, rng: random.Random
) -> Aftermath:
    """What a finished conversation (`memory.ending` is set) leads to."""
    found_out_at = ended + timedelta(minutes=rng.expovariate(1 / config.found_out_minutes))
    return Aftermath(
        feedback=_feedback(customer, need, memory, ended, found_out_at, config, rng),
        returns_at=_returns_at(memory, ended, found_out_at, config, rng),
    )


def _feedback(
    customer: Customer,
    need: Need,
    memory: Memory,
    ended: datetime,
    found_out_at: datetime,
    config: AftermathConfig,
    rng: random.Random,
) -> Feedback | None:
    answers = rng.random() < config.feedback_rate
    comments = rng.random() < config.comment_rate
    first_impression = rating(customer, need, memory, found_out=False, rng=rng)
    happy = first_impression >= HAPPY_FROM
    minutes = config.happy_minutes if happy else config.unhappy_minutes
    when = ended + timedelta(seconds=15 + 60 * rng.expovariate(1 / minutes))
    if not answers or memory.ending is None:
        return None
    knows_better = memory.ending is Ending.MISLED and when >= found_out_at
    csat = rating(customer, need, memory, found_out=True, rng=rng) if knows_better else first_impression
    resolved = memory.ending is not Ending.GAVE_UP and not knows_better
    comment = (
        rng.choice(COMMENTS[memory.ending])
        if comments and (knows_better or memory.ending is not Ending.MISLED)
        else None
    )
    return Feedback(when, csat, resolved, comment)


def _returns_at(
    memory: Memory, ended: datetime, found_out_at: datetime, config: AftermathConfig, rng: random.Random
) -> datetime | None:
    chance, delay = rng.random(), timedelta(hours=rng.expovariate(1 / config.return_hours))
    if memory.ending is Ending.MISLED and chance < config.misled_return:
        return found_out_at + delay / 4
    if memory.ending is Ending.GAVE_UP and chance < config.gave_up_return:
        return ended + timedelta(minutes=10) + delay
    return None
