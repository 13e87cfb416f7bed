"""What follows a conversation: ratings late, unhappy ones sooner; open needs come back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

from controlplane.simulation.aftermath import Aftermath, AftermathConfig, aftermath
from controlplane.simulation.customers import Ending, Memory, draw_customer
from controlplane.simulation.needs import all_needs
from tests.simulation.measure import START

CONFIG = AftermathConfig()
REFUND = next(need for need in all_needs() if need.name == "refund")


def outcomes(ending: Ending, config: AftermathConfig = CONFIG) -> Iterator[Aftermath]:
    memory = Memory(2.0, turns=1, waited=1.0, ending=ending)
    for seed in range(600):
        rng = random.Random(seed)
        yield aftermath(draw_customer("u", 0.0, rng), REFUND, memory, START, config, rng)


def minutes_to_rating(ending: Ending) -> list[float]:
    return [(found.feedback.when - START) / timedelta(minutes=1) for found in outcomes(ending) if found.feedback]


def test_about_as_many_answer_as_configured() -> None:
    assert 0.54 * 600 < len(minutes_to_rating(Ending.HELPED)) < 0.66 * 600
    nobody = AftermathConfig(feedback_rate=0.0)
    assert all(found.feedback is None for found in outcomes(Ending.HELPED, nobody))


def test_ratings_come_minutes_later_and_unhappy_ones_sooner() -> None:
    happy, unhappy = minutes_to_rating(Ending.HELPED), minutes_to_rating(Ending.GAVE_UP)
    assert min(happy + unhappy) >= 0.25
    assert sum(unhappy) / len(unhappy) < 0.8 * sum(happy) / len(happy)


def test_helped_customers_do_not_come_back_with_the_same_need() -> None:
    for ending in (Ending.HELPED, Ending.PERSON):
        assert all(found.returns_at is None for found in outcomes(ending))


def test_open_needs_come_back_within_hours() -> None:
    for ending, share in ((Ending.MISLED, CONFIG.misled_return), (Ending.GAVE_UP, CONFIG.gave_up_return)):
        delays = [found.returns_at - START for found in outcomes(ending) if found.returns_at]
        assert (share - 0.06) * 600 < len(delays) < (share + 0.06) * 600
        assert min(delays) > timedelta(0)
        assert sorted(delays)[len(delays) // 2] < timedelta(hours=4)


def test_who_found_out_rates_low_and_says_it_is_not_resolved() -> None:
    given = [found.feedback for found in outcomes(Ending.MISLED) if found.feedback]
    unresolved = [feedback.csat for feedback in given if not feedback.resolved]
    content = [feedback.csat for feedback in given if feedback.resolved]
    assert len(unresolved) > 10
    assert sum(unresolved) / len(unresolved) < sum(content) / len(content) - 1.0
    assert all(not found.feedback.resolved for found in outcomes(Ending.GAVE_UP) if found.feedback)
