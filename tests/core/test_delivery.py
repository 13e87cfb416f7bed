"""The change-fail rate: which changes reached customers, which were taken back, and how sure that share is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.delivery import FAILS, SERVES, change_fail
from controlplane.core.incident import asked_at

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
FAR = T0 + timedelta(days=30)


@dataclass(frozen=True)
class Row:
    version: int
    event: str
    started_at: datetime


def rows(*events: str) -> list[Row]:
    return [Row(number, event, T0 + timedelta(hours=number)) for number, event in enumerate(events, 1)]


@pytest.mark.parametrize(
    ("events", "changes", "failed"),
    [
        ((), 0, 0),
        (("start",), 1, 0),
        (("start", "promote", "promote"), 1, 0),
        (("start", "promote", "rollback"), 1, 1),
        (("start", "rollback", "restart"), 2, 1),
        (("start", "deploy", "rollback"), 2, 1),  # the deploy failed; the release before it had held
        (("start", "deploy", "rollback", "rollback"), 2, 1),  # a change fails once
        (("start", "contain", "deploy", "disable_execution", "supersede"), 3, 2),
        (("start", "hold", "resume"), 1, 0),
    ],
)
def test_a_change_fails_that_is_taken_back_before_the_next_one(
    events: tuple[str, ...], changes: int, failed: int
) -> None:
    found = change_fail(rows(*events), T0, FAR)
    assert (found.changes, found.failed) == (changes, failed)
    assert (found.rate is None) == (changes == 0)
    if found.rate is not None:
        assert found.rate.estimate == failed / changes
        assert found.rate.low <= found.rate.estimate <= found.rate.high


def test_only_changes_of_the_window_count_and_nothing_that_comes_later() -> None:
    history = rows("start", "rollback", "restart", "deploy", "rollback")
    assert change_fail(history, T0 + timedelta(hours=2), FAR).changes == 2
    before_the_cut = change_fail(history, T0, T0 + timedelta(hours=4, minutes=30))
    assert (before_the_cut.changes, before_the_cut.failed) == (3, 1)


@given(st.lists(st.sampled_from([*sorted(SERVES | FAILS), "promote", "hold", "resume"]), max_size=30))
def test_never_more_failures_than_changes_or_than_cuts(events: list[str]) -> None:
    found = change_fail(rows(*events), T0, FAR)
    assert found.changes == sum(event in SERVES for event in events)
    assert found.failed <= min(found.changes, sum(event in FAILS for event in events))


def test_people_are_asked_again_when_it_comes_back_and_only_then() -> None:
    def at(minute: int) -> datetime:
        return T0 + timedelta(minutes=minute)

    steps = [
        ("contain", at(1)),
        ("recur", at(5)),
        ("recur", at(6)),
        ("acknowledge", at(7)),
        ("recur", at(8)),
        ("note", at(9)),
    ]
    assert asked_at(T0, steps) == [T0, at(5)]
    assert asked_at(T0, [*steps, ("resolve", at(10)), ("reopen", at(12))]) == [T0, at(5), at(12)]
    assert asked_at(T0, []) == [T0]
