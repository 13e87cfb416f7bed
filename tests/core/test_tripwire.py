"""One confirmed severe misrouting, once, and what it contains."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.tripwire import SEVERE, Misrouting, category, reason, said, severe

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
ONE = Misrouting("e1", "c1", "card_stolen", 1.0, T0, "human:eve")


@pytest.mark.parametrize(
    ("severity", "counts"), [(None, False), (0.0, False), (0.79, False), (SEVERE, True), (1.0, True), (2.0, True)]
)
def test_only_what_a_person_called_severe_trips(severity: float | None, counts: bool) -> None:
    assert bool(severe([replace(ONE, severity=severity)], ())) == counts


def test_each_evaluation_trips_once() -> None:
    assert severe([ONE], {"e1"}) == ()
    assert severe([ONE, replace(ONE, evaluation_id="e2")], {"e1"}) == (replace(ONE, evaluation_id="e2"),)


def test_the_category_is_the_intent_and_the_unknown_stands_for_itself() -> None:
    assert category(ONE) == "card_stolen"
    assert category(replace(ONE, intent=None)) == category(replace(ONE, intent="")) == ""
    assert said("") == "conversations whose intent is not told"


def test_the_reason_names_who_where_and_what() -> None:
    text = reason([ONE, replace(ONE, evaluation_id="e2", intent=None)])
    for words in ("human:eve", "conversation c1 and 1 more", "intent 'card_stolen'", "intent is not told", "execution"):
        assert words in text


@given(order=st.permutations(range(6)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    found = [replace(ONE, evaluation_id=f"e{i}", confirmed_at=T0 + timedelta(hours=i // 2)) for i in order]
    assert [item.evaluation_id for item in severe(found, ())] == [f"e{i}" for i in range(6)]
