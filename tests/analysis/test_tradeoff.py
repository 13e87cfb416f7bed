"""The decision table has an answer for everything, and worse evidence never moves it towards growth."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.analysis.tradeoff import TABLE, Cost, Course, Latency, Satisfaction, advise, dollars
from controlplane.analysis.tradeoff_measure import ArmCost, cost, latency, satisfaction
from controlplane.core.evidence import Counts, certificate
from controlplane.core.evidence.certificate import CertificateSpec, CertificateState

UP, NONE, DROP, NO_RATINGS = Satisfaction
GROW, OPTIMISE, HOLD, BACK = Course.GROW, Course.OPTIMISE, Course.HOLD, Course.ROLL_BACK

# rows: satisfaction; columns: latency within, beyond, unknown, each with cost within, above, unknown
EXPECTED = {
    UP: (GROW, OPTIMISE, HOLD, OPTIMISE, OPTIMISE, OPTIMISE, HOLD, OPTIMISE, HOLD),
    NONE: (HOLD, BACK, HOLD) * 3,
    DROP: (BACK,) * 9,
    NO_RATINGS: (HOLD,) * 9,
}


def test_the_table_is_this_one() -> None:
    assert len(TABLE) == len(Satisfaction) * len(Latency) * len(Cost) == 36
    for satisfied, row in EXPECTED.items():
        found = [advise(satisfied, fast, spent).course for fast, spent in product(Latency, Cost)]
        assert found == list(row), satisfied
    assert all(advice.reason for advice in TABLE.values())


def test_unknown_never_grows_and_growth_needs_all_three() -> None:
    growing = [cell for cell, advice in TABLE.items() if advice.course is GROW]
    assert growing == [(UP, Latency.WITHIN, Cost.WITHIN)]
    assert {advice.course for advice in TABLE.values()} == set(Course)


@pytest.mark.parametrize(
    ("better", "worse"),
    [(UP, NONE), (NONE, DROP), (UP, NO_RATINGS), (Latency.WITHIN, Latency.BEYOND), (Cost.WITHIN, Cost.ABOVE)],
)
def test_what_is_worse_is_never_bolder(better: object, worse: object) -> None:
    for cell in TABLE:
        if better in cell:
            other = tuple(worse if part is better else part for part in cell)
            assert TABLE[other].course.boldness <= TABLE[cell].course.boldness  # type: ignore[index]


Block = st.tuples(*(st.lists(st.integers(0, 12), min_size=5, max_size=5) for _ in range(2)))
FINE = latency(1000, 1, None, 4000, 0.05)
PAID = (Cost.WITHIN, Cost.ABOVE, Cost.UNKNOWN)


@settings(deadline=None, max_examples=120)
@given(st.lists(Block, min_size=1, max_size=12), st.data())
def test_worse_ratings_never_move_towards_growth(
    blocks: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    treated = [list(block[0]) for block in blocks]
    control = [list(block[1]) for block in blocks]
    before = satisfaction(treated, control, 0.05)
    for block in treated:  # some ratings are lower than they were
        for high in range(4, 0, -1):
            moved = data.draw(st.integers(0, block[high]))
            low = data.draw(st.integers(0, high - 1))
            block[high] -= moved
            block[low] += moved
    after = satisfaction(treated, control, 0.05)
    assert after.log_better <= before.log_better + 1e-9
    assert after.log_worse >= before.log_worse - 1e-9
    for spent in PAID:
        bolder = advise(before.verdict, FINE.verdict, spent).course.boldness
        assert advise(after.verdict, FINE.verdict, spent).course.boldness <= bolder


def test_the_evidence_is_a_certificate_with_no_margin() -> None:
    """The same product of e-values as the promotion certificate's, with the bets of the trigger, at a difference of 0."""
    rng = np.random.default_rng(4)
    treated = rng.multinomial(20, [0.02, 0.03, 0.1, 0.3, 0.55], size=10)
    control = rng.multinomial(20, [0.1, 0.15, 0.2, 0.3, 0.25], size=10)
    found = satisfaction(treated, control, 0.05)
    assert found.verdict is UP
    assert found.interval is not None
    assert found.interval.low > 0
    assert found.mean_treated == pytest.approx((treated.sum(axis=0) @ np.arange(1, 6)) / treated.sum())
    spec = CertificateSpec("rating", 0.0, 0.025)
    state = CertificateState.fresh(spec)
    best = 0.0
    for block, (k_t, k_c) in enumerate(zip(treated, control, strict=True)):
        state, reading = certificate.step(spec, state, block, Counts(kT=tuple(k_t), kC=tuple(k_c)))
        best = max(best, reading.log_E)
    assert best > log(40)  # the engine's own certificate, with its own bets, says the same


@pytest.mark.slow
def test_an_uplift_that_is_not_there_is_certified_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(11)
    share = [0.1, 0.1, 0.2, 0.3, 0.3]
    verdicts = []
    for _ in range(400):
        drift = rng.integers(2, 30, size=40)
        treated = np.array([rng.multinomial(int(n), share) for n in drift])
        control = np.array([rng.multinomial(int(3 * n), share) for n in drift])
        verdicts.append(satisfaction(treated, control, 0.1).verdict)
    wrong = sum(verdict in (UP, DROP) for verdict in verdicts)
    assert wrong <= 0.1 * 400 + 3 * (400 * 0.09) ** 0.5


def test_ratings_that_cannot_be_compared_are_unknown() -> None:
    assert satisfaction([], [], 0.05).verdict is NO_RATINGS
    alone = [[0, 0, 0, 0, 90]]
    assert satisfaction(alone, [[0] * 5], 0.05).verdict is NO_RATINGS
    assert (
        satisfaction([*alone, [0] * 5], [[0] * 5, [90, 0, 0, 0, 0]], 0.05).verdict is NO_RATINGS
    )  # never in one block
    few = satisfaction([[0, 0, 0, 0, 29]], [[500, 0, 0, 0, 0]], 0.05)
    assert (few.verdict, few.treated) == (NO_RATINGS, 29)


def test_latency_is_decided_by_the_interval() -> None:
    assert latency(1000, 20, 1.0, 4000, 0.05).verdict is Latency.WITHIN
    assert latency(1000, 90, 1.0, 4000, 0.05).verdict is Latency.BEYOND
    assert latency(40, 2, 1.0, 4000, 0.05).verdict is Latency.UNKNOWN
    assert latency(0, 0, None, 4000, 0.05).verdict is Latency.UNKNOWN
    assert latency(1000, 0, 1.0, None, None).verdict is Latency.UNKNOWN


def arm(costs: list[float], resolved: list[bool], persons: list[bool] | None = None, unpriced: int = 0) -> ArmCost:
    """Sums of these conversations, as the query makes them."""
    handed = persons or [False] * len(costs)
    return ArmCost(
        conversations=len(costs),
        outcomes=len(costs),
        resolved=sum(resolved),
        persons=sum(handed),
        cost=sum(costs),
        cost_sq=sum(value**2 for value in costs),
        cost_resolved=sum(value for value, done in zip(costs, resolved, strict=True) if done),
        cost_persons=sum(value for value, done in zip(costs, handed, strict=True) if done),
        requests=len(costs),
        unpriced=unpriced,
    )


def test_the_cost_of_a_resolved_conversation_by_hand() -> None:
    """4 conversations of $1, $2, $3 and $6; the second and the fourth go to a person at $10: $(12 + 20) for 2 resolved."""
    found = arm([1.0, 2.0, 3.0, 6.0], [True, False, True, False], [False, True, False, True]).per_resolved(10.0)
    assert found is not None
    ratio, error = found
    assert ratio == 16.0
    residuals = [1 - 16, 12, 3 - 16, 16]  # cost of each minus ratio x resolved; they add to 0
    assert sum(residuals) == 0
    assert error == pytest.approx((4 * sum(r**2 for r in residuals) / 3) ** 0.5 / 2)


def test_the_error_of_the_cost_agrees_with_a_bootstrap() -> None:
    rng = np.random.default_rng(2)
    costs = rng.gamma(2.0, 0.01, 800)
    resolved, persons = rng.random(800) < 0.6, np.zeros(800, dtype=bool)
    persons[~resolved] = rng.random((~resolved).sum()) < 0.5
    found = arm(list(costs), list(resolved), list(persons)).per_resolved(0.5)
    assert found is not None
    draws = rng.integers(0, 800, (4000, 800))
    whole = costs + 0.5 * persons
    again = whole[draws].sum(axis=1) / resolved[draws].sum(axis=1)
    assert found[0] == pytest.approx(whole.sum() / resolved.sum())
    assert found[1] == pytest.approx(float(again.std()), rel=0.06)


def test_cost_against_a_target_and_against_the_control() -> None:
    steady = arm([0.010, 0.011, 0.009, 0.010] * 50, [True] * 200)
    dear = arm([0.030, 0.031, 0.029, 0.030] * 50, [True] * 200)
    free = arm([0.0] * 200, [True] * 200)
    assert cost(steady, free, 0.02, 0.0).verdict is Cost.WITHIN
    assert cost(steady, free, 0.005, 0.0).verdict is Cost.ABOVE
    assert cost(steady, free, 0.010, 0.0).verdict is Cost.UNKNOWN
    assert cost(steady, dear, None, 0.0).verdict is Cost.WITHIN
    assert cost(dear, steady, None, 0.0).verdict is Cost.ABOVE
    assert cost(steady, free, None, 0.0).verdict is Cost.UNKNOWN  # a menu without model cost is no yardstick
    assert cost(arm([0.01] * 9, [False] * 9), free, 0.02, 0.0).verdict is Cost.UNKNOWN
    assert cost(ArmCost(), ArmCost(), 0.02, 1.0).verdict is Cost.UNKNOWN


def test_what_has_no_price_makes_a_cost_a_lower_bound() -> None:
    hidden = arm([0.010, 0.011, 0.009, 0.010] * 50, [True] * 200, unpriced=3)
    assert cost(hidden, ArmCost(), 0.02, 0.0).verdict is Cost.UNKNOWN
    assert cost(hidden, ArmCost(), 0.005, 0.0).verdict is Cost.ABOVE


def test_a_person_who_is_saved_is_worth_something() -> None:
    handed = [i % 2 == 0 for i in range(200)]
    menu = arm([0.0] * 200, [not p for p in handed], handed)
    fewer = [i % 10 == 0 for i in range(200)]
    treated = arm([0.01] * 200, [not p for p in fewer], fewer)
    assert cost(treated, menu, None, 5.0).verdict is Cost.WITHIN
    assert cost(menu, treated, None, 5.0).verdict is Cost.ABOVE


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "$0"), (0.0000963, "$0.0000963"), (0.045, "$0.0450"), (12.3, "$12.30"), (-1234.5, "-$1,234.50")],
)
def test_small_amounts_are_readable(value: float, text: str) -> None:
    assert dollars(value) == text
