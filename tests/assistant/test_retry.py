"""Trying again: seldom, bounded, alike on every replay, and only where it can help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.retry import RETRYABLE, RetryPolicy


@given(st.text(max_size=30), st.integers(1, 5), st.floats(0, 5), st.floats(0, 5))
def test_a_wait_is_bounded_and_the_same_on_every_replay(key: str, tried: int, base: float, cap: float) -> None:
    policy = RetryPolicy(5, base, cap)
    wait = policy.wait(key, tried)
    assert 0 <= wait <= min(cap, base * 2 ** (tried - 1)) + 1e-12
    assert wait == policy.wait(key, tried)


def test_many_clients_do_not_come_back_together() -> None:
    waits = [RetryPolicy(3, 1.0, 1.0).wait(f"c{n}:1", 1) for n in range(2000)]
    assert sum(waits) / len(waits) == pytest.approx(0.5, abs=0.03)
    assert len(set(waits)) == len(waits)


@given(st.integers(1, 10), st.text(max_size=12))
def test_the_number_of_tries_is_bounded(tried: int, error: str) -> None:
    policy = RetryPolicy(3)
    assert policy.again(tried, error) == (tried < 3 and error in RETRYABLE)


@pytest.mark.parametrize("error", ["timeout", "http_400", "http_401", "empty_answer", "bad_response"])
def test_what_a_second_try_cannot_help_is_not_tried_again(error: str) -> None:
    assert not RetryPolicy(5).again(1, error)


@pytest.mark.parametrize("settings", [(0, 0.1, 1.0), (6, 0.1, 1.0), (2, -1.0, 1.0), (2, 0.1, -1.0)])
def test_senseless_policies_are_refused(settings: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="retry"):
        RetryPolicy(*settings)
