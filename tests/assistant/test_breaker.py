"""The circuit breaker, on a clock of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.breaker import BreakerState, CircuitBreaker
from tests.assistant.talk import NOW

LATER = NOW + timedelta(seconds=30)


def opened(limit: int = 3) -> CircuitBreaker:
    breaker = CircuitBreaker(limit, 30.0)
    for _ in range(limit):
        assert breaker.allow(NOW)
        breaker.record(False, NOW)
    return breaker


def test_opens_after_the_limit_and_stays_open() -> None:
    breaker = opened()
    assert breaker.state(NOW) is BreakerState.OPEN
    assert not breaker.allow(LATER - timedelta(seconds=1))


def test_a_success_in_between_counts_from_zero() -> None:
    breaker = CircuitBreaker(2)
    for succeeded in (False, True, False):
        breaker.record(succeeded, NOW)
    assert breaker.allow(NOW)


def test_one_trial_then_closed_or_open_again() -> None:
    breaker = opened()
    assert breaker.state(LATER) is BreakerState.HALF_OPEN
    assert breaker.allow(LATER)
    assert not breaker.allow(LATER)
    breaker.record(False, LATER)
    assert breaker.state(LATER) is BreakerState.OPEN
    much_later = LATER + timedelta(seconds=31)
    assert breaker.allow(much_later)
    breaker.record(True, much_later)
    assert breaker.state(much_later) is BreakerState.CLOSED


@given(st.lists(st.booleans(), max_size=40))
def test_closed_means_fewer_failures_in_a_row_than_the_limit(results: list[bool]) -> None:
    breaker = CircuitBreaker(4)
    run = 0
    for succeeded in results:
        if not breaker.allow(NOW):
            break
        breaker.record(succeeded, NOW)
        run = 0 if succeeded else run + 1
    assert (breaker.state(NOW) is BreakerState.OPEN) == (run >= 4)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CircuitBreaker(0)
