"""The design of the review queue keeps its probabilities, and opinions come to what people said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.review_queue import (
    AUDIT,
    NO_REASON,
    TARGETED,
    Design,
    Opinion,
    design,
    differ,
    fraction,
    problems_of,
    reasons_of,
    standing,
)

NOW = datetime(2026, 1, 5, tzinfo=UTC)
strata = st.dictionaries(
    st.one_of(st.just(NO_REASON), st.sets(st.sampled_from(TARGETED), min_size=1).map(lambda s: "+".join(sorted(s)))),
    st.integers(1, 5000),
    min_size=1,
)


@given(sizes=strata, capacity=st.floats(0.5, 2000), share=st.floats(0.05, 1.0))
def test_the_design_draws_what_can_be_read_and_everything_can_be_drawn(
    sizes: dict[str, int], capacity: float, share: float
) -> None:
    made = design(sizes, capacity, share)
    frame = sum(sizes.values())
    assert all(0.0 <= rate <= 1.0 for rate in made.rates.values())
    assert made.rates[AUDIT] > 0.0
    assert made.expected == pytest.approx(min(capacity, frame), rel=1e-6)
    assert made.expected == pytest.approx(sum(n * made.probability(name) for name, n in sizes.items()))
    for name in sizes:
        assert made.probability(name) >= made.rates[AUDIT]
        assert made.probability(name) == max([made.rates[AUDIT], *(made.rates[r] for r in reasons_of(name))])


def test_the_probability_is_that_of_the_union() -> None:
    """Drawn by simulation: an answer with two reasons is drawn with the larger of the rates, as one number serves all reasons."""
    made = Design({AUDIT: 0.1, "failure": 0.3, "low_confidence": 0.2, "disagreement": 0.0, "drifted_cluster": 0.0}, 0.0)
    both = made.probability("low_confidence+failure")
    numbers = [fraction("any", str(i)) for i in range(20_000)]
    drawn = sum(any(u < made.rates[r] for r in (AUDIT, "failure", "low_confidence")) for u in numbers)
    assert both == 0.3
    assert drawn / len(numbers) == pytest.approx(both, abs=0.012)


def test_only_chance() -> None:
    made = design({NO_REASON: 900, "failure": 100}, 100, 1.0)
    assert made.rates[AUDIT] == pytest.approx(0.1)
    assert made.probability("failure") == made.rates[AUDIT]


@pytest.mark.parametrize(("capacity", "share"), [(0.0, 0.5), (-1.0, 0.5), (float("nan"), 0.5), (5.0, 0.0), (5.0, 1.1)])
def test_a_design_without_capacity_is_refused(capacity: float, share: float) -> None:
    with pytest.raises(ValueError, match="capacity"):
        design({NO_REASON: 10}, capacity, share)


def test_no_answers_no_rates() -> None:
    assert design({}, 5.0, 0.5).expected == 0.0


def said(who: str, label: str = "correct", **more: object) -> Opinion:
    return Opinion(who, label, NOW, **more)  # type: ignore[arg-type]


def test_standings() -> None:
    one, two = said("rita", intent="fees"), said("olga", grounded=True, severity=2)
    assert standing(1, {}, None).status == "waiting"
    assert standing(1, {1: one}, None).opinion == one
    half = standing(2, {1: one}, None)
    assert (half.status, half.settled) == ("half", False)
    both = standing(2, {1: one, 2: two}, None)
    assert both.opinion is not None
    assert (both.status, both.opinion.reviewer) == ("agreed", "rita+olga")
    assert (both.opinion.intent, both.opinion.grounded, both.opinion.severity) == ("fees", True, 2)
    against = standing(2, {1: one, 2: said("olga", "unsafe")}, None)
    assert (against.status, against.opinion, against.settled) == ("disagreed", None, False)
    decided = standing(2, {1: one, 2: said("olga", "unsafe")}, said("nora", "unsafe"))
    assert decided.settled


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"intent": "fees"}, {"intent": "limits"}, True),
        ({"intent": "fees"}, {}, False),
        ({"grounded": True}, {"grounded": False}, True),
        ({"grounded": False}, {"severity": 3}, False),
        ({"label": "unsafe"}, {}, True),
    ],
)
def test_what_contradicts(first: dict[str, object], second: dict[str, object], expected: bool) -> None:
    assert differ(said("a", **first), said("b", **second)) is expected


def test_what_is_no_opinion() -> None:
    assert "'fine' is no label" in problems_of("fine", None)
    assert "severity 9" in problems_of("unsafe", 9)
    assert problems_of("unsafe", 5) == ""
