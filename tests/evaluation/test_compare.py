"""Paired comparisons against independent oracles and by simulation."""

from __future__ import annotations

from math import isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from statsmodels.stats.contingency_tables import mcnemar as oracle

from controlplane.evaluation import compare
from controlplane.evaluation.compare import mcnemar, paired_mean, paired_rate, tango_interval


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_test(ahead: int, behind: int) -> None:
    expected = oracle([[10, ahead], [behind, 10]], exact=True).pvalue
    assert isclose(mcnemar(ahead, behind), min(float(expected), 1.0), rel_tol=1e-9)


@pytest.mark.parametrize(("ahead", "behind", "n"), [(12, 2, 50), (3, 9, 40), (0, 5, 120), (7, 7, 30)])
def test_the_ends_are_where_the_score_test_stops_to_reject(ahead: int, behind: int, n: int) -> None:
    """The restricted maximum of the likelihood, found numerically, gives a score of +-1.96 at each end."""

    def score(delta: float) -> float:
        def minus_log_likelihood(q: float) -> float:
            cells = ((ahead, q + delta), (behind, q), (n - ahead - behind, 1 - 2 * q - delta))
            return -sum(count * np.log(max(share, 1e-300)) for count, share in cells if count)

        bounds = (max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12)
        q = minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        return (ahead - behind - n * delta) / np.sqrt(n * (2 * q + delta * (1 - delta)))

    low, high = tango_interval(ahead, behind, n, 0.95)
    assert score(low) == pytest.approx(1.96, abs=2e-3)
    assert score(high) == pytest.approx(-1.96, abs=2e-3)


@given(st.integers(1, 80), st.integers(0, 80), st.integers(0, 80))
def test_tango_contains_the_estimate_and_turns_with_the_sides(n: int, ahead: int, behind: int) -> None:
    if ahead + behind > n:
        with pytest.raises(ValueError, match="counted among"):
            tango_interval(ahead, behind, n, 0.95)
        return
    low, high = tango_interval(ahead, behind, n, 0.95)
    assert -1 <= low <= (ahead - behind) / n <= high <= 1
    other = tango_interval(behind, ahead, n, 0.95)
    assert (low, high) == pytest.approx((-other[1], -other[0]), abs=1e-9)
    assert high - low > 0, "agreement on every row of a sample is no certainty"


def test_tango_covers_the_true_difference() -> None:
    rng = np.random.default_rng(5)
    better, worse, n, hits = 0.08, 0.05, 150, 0
    for _ in range(800):
        drawn = rng.multinomial(n, [better, worse, 1 - better - worse])
        low, high = tango_interval(int(drawn[0]), int(drawn[1]), n, 0.95)
        hits += low <= better - worse <= high
    assert hits / 800 >= 0.93


def test_more_is_better_whatever_the_metric() -> None:
    good_now, good_before = [True] * 30 + [False] * 10, [True] * 20 + [False] * 20
    gained = paired_rate(good_now, good_before, True, 0.95)
    assert (gained.better, gained.worse, gained.figure.estimate) == (10, 0, 0.25)
    harm = paired_rate(good_now, good_before, False, 0.95)  # the same, where True is bad
    assert (harm.better, harm.worse, harm.figure.estimate) == (0, 10, -0.25)


def test_a_mean_that_is_better_when_lower() -> None:
    now, before = np.full(40, 1.0), np.full(40, 2.0) + np.linspace(-0.5, 0.5, 40)
    found = paired_mean(list(now), list(before), "lower", 0.95, 3)
    assert found.figure.estimate == pytest.approx(1.0)
    assert 0 < found.figure.low < 1.0 < found.figure.high
    assert found == paired_mean(list(now), list(before), "lower", 0.95, 3)


def test_rows_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        paired_rate([True], [True, False], True, 0.95)
    assert paired_rate([], [], True, 0.95).figure.n == 0


def test_drawing_in_parts_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.random.default_rng(7).integers(0, 37, (100, 37))
    monkeypatch.setattr(compare, "DRAWN_AT_ONCE", 37 * 9)
    parts = list(compare.resamples(37, 100, 7))
    assert len(parts) == 12
    assert (np.concatenate(parts) == whole).all()
