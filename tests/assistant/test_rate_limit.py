"""Never more than the allowance in any window, for each customer alone, with bounded memory."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.rate_limit import RateLimiter

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_allowance_comes_back_when_the_window_moves_on() -> None:
    limiter = RateLimiter(messages=2, seconds=10)
    assert [limiter.allow("u", at(t)) for t in (0, 1, 2, 9)] == [True, True, False, False]
    assert limiter.allow("u", at(10.5))
    assert not limiter.allow("u", at(10.9))


def test_the_wait_is_told_and_is_true() -> None:
    limiter = RateLimiter(messages=1, seconds=10)
    assert limiter.retry_after("u", at(0)) == 0
    limiter.allow("u", at(0))
    wait = limiter.retry_after("u", at(4))
    assert wait == pytest.approx(6)
    assert not limiter.allow("u", at(4 + wait - 0.1))
    assert limiter.allow("u", at(4 + wait + 0.1))


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    limiter = RateLimiter(messages=2, seconds=10)
    assert limiter.allow("u", at(100))
    assert limiter.allow("u", at(50))
    assert not limiter.allow("u", at(101))


arrivals = st.lists(
    st.tuples(st.sampled_from(["anna", "ben", "cem"]), st.floats(0, 20, allow_nan=False)), min_size=1, max_size=120
)


@given(arrivals, st.integers(1, 5), st.integers(1, 30))
def test_no_window_holds_more_than_the_allowance(gaps: list[tuple[str, float]], messages: int, seconds: int) -> None:
    limiter, now, passed = RateLimiter(messages, seconds), 0.0, {}
    for customer, gap in gaps:
        now = round(now + gap, 3)
        if limiter.allow(customer, at(now)):
            passed.setdefault(customer, []).append(now)
    for times in passed.values():
        assert all(later - first >= seconds - 0.002 for first, later in zip(times, times[messages:], strict=False))


@given(arrivals, st.integers(1, 5), st.integers(1, 30))
def test_nobody_is_punished_for_another(gaps: list[tuple[str, float]], messages: int, seconds: int) -> None:
    together, alone, now = RateLimiter(messages, seconds), RateLimiter(messages, seconds), 0.0
    for customer, gap in gaps:
        now += gap
        answer = together.allow(customer, at(now))
        if customer == "anna":
            assert answer == alone.allow(customer, at(now))


def test_memory_is_bounded_by_the_window_and_by_the_cap() -> None:
    limiter = RateLimiter(messages=3, seconds=10, max_customers=50)
    for number in range(400):
        limiter.allow(f"u{number}", at(number * 0.01))
        assert limiter.customers() <= 50
    limiter.allow("late", at(100))
    assert limiter.customers() == 1


def test_threads_do_not_add_up_to_more() -> None:
    limiter = RateLimiter(messages=7, seconds=60)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: limiter.allow("u", START), range(200)))
    assert sum(answers) == 7


@pytest.mark.parametrize("setting", ["messages", "seconds", "max_customers"])
def test_a_setting_below_one_is_named(setting: str) -> None:
    with pytest.raises(ValueError, match=setting):
        RateLimiter(**{setting: 0})


def test_importing_it_does_not_import_the_library() -> None:
    code = "import sys, controlplane.assistant.rate_limit; sys.exit('limits' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
