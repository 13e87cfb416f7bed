"""Ratio metrics against the linearised mean, CUPED against ANCOVA by statsmodels, both by coverage."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from controlplane.core.estimates import Sums, confidence_sequence
from controlplane.core.estimates_ratio import PairSums, cuped, ratio, ratio_difference


def sums(y, x):
    y, x = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    return PairSums(len(y), *(float(v.sum()) for v in (y, x, y * y, x * x, x * y)))


def customers(rng, n, per_request=1.0):
    """Requests of n customers and what they cost: customers differ, so requests are no independent units."""
    requests = 1 + rng.poisson(rng.gamma(2, 2, n))
    return requests * rng.gamma(4, per_request / 4, n), requests


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(1, 20)), min_size=3, max_size=40), st.integers(0, 40))
def test_sums_merge_and_equal_numpy(pairs, cut):
    y, x = np.array(pairs).T
    merged = sums(y[:cut], x[:cut]) + sums(y[cut:], x[cut:])
    assert merged.variance_y == pytest.approx(np.var(y, ddof=1), rel=1e-6, abs=1e-6)
    assert merged.variance_x == pytest.approx(np.var(x, ddof=1), rel=1e-6, abs=1e-6)
    assert merged.covariance == pytest.approx(np.cov(y, x)[0, 1], rel=1e-6, abs=1e-6)
    value, error = ratio(merged)
    linear = (y - value * x) / x.mean()
    assert value == pytest.approx(y.sum() / x.sum())
    assert error == pytest.approx(np.std(linear, ddof=1) / np.sqrt(len(y)), rel=1e-5, abs=1e-6)


def test_the_delta_method_is_right_where_requests_of_a_customer_hang_together():
    rng = np.random.default_rng(1)
    found = [ratio(sums(*customers(rng, 300))) for _ in range(800)]
    spread = np.std([value for value, _ in found])
    assert np.mean([error for _, error in found]) == pytest.approx(spread, rel=0.1)


def test_the_difference_of_ratios_covers_at_every_look():
    rng, runs, alpha, missed = np.random.default_rng(2), 200, 0.1, 0
    for _ in range(runs):
        arms = [PairSums(), PairSums()]
        for _ in range(15):
            arms = [arm + sums(*customers(rng, 60, 1.0 + 0.2 * t)) for t, arm in enumerate(arms)]
            found = ratio_difference(arms[1], arms[0], alpha)
            if not found.low <= 0.2 <= found.high:
                missed += 1
                break
    assert missed <= binom.isf(1e-4, runs, alpha)


def test_cuped_is_ancova_and_says_what_it_saved():
    rng = np.random.default_rng(3)
    n = 400
    before = rng.gamma(2, 10, (2, n))
    after = 5 + 0.8 * before + rng.normal(0, 8, (2, n)) + np.array([[0.0], [2.0]])
    found = cuped(sums(after[1], before[1]), sums(after[0], before[0]), 0.05)
    design = sm.add_constant(np.column_stack([np.repeat([0, 1], n), before.ravel()]))
    fit = sm.OLS(after.ravel(), design).fit()
    assert found.interval.estimate == pytest.approx(fit.params[1])
    assert found.slope == pytest.approx(fit.params[2])
    correlation = np.corrcoef(after[0], before[0])[0, 1]
    assert found.reduction == pytest.approx(correlation**2, abs=0.05)
    plain = confidence_sequence(
        *(Sums(n, float(after[i].sum()), float(np.square(after[i]).sum())) for i in (1, 0)), 0.05
    )
    width = (found.interval.high - found.interval.low) / (plain.high - plain.low)
    assert width == pytest.approx(np.sqrt(1 - found.reduction))


def test_cuped_does_not_bias():
    rng = np.random.default_rng(4)
    estimates = []
    for _ in range(400):
        before = rng.gamma(2, 10, (2, 50))
        after = 0.5 * before + rng.normal(0, 5, (2, 50)) + np.array([[0.0], [1.0]])
        estimates.append(cuped(sums(after[1], before[1]), sums(after[0], before[0]), 0.05).interval.estimate)
    assert np.mean(estimates) == pytest.approx(1.0, abs=4 * np.std(estimates) / 20)


def test_without_a_past_nothing_is_taken_out():
    rng = np.random.default_rng(5)
    y = rng.normal(3, 1, (2, 60))
    found = cuped(sums(y[1], np.zeros(60)), sums(y[0], np.zeros(60)), 0.05)
    assert (found.slope, found.reduction) == (0.0, 0.0)
    assert found.interval.estimate == pytest.approx(y[1].mean() - y[0].mean())


def test_what_cannot_be_told_is_none_and_nonsense_is_refused():
    one, flat = sums([1], [1]), sums([2, 2, 2], [1, 1, 1])
    assert ratio(one) is None
    assert ratio(sums([1, 2], [0, 0])) is None
    assert ratio_difference(one, flat, 0.05) is None
    assert ratio_difference(flat, flat, 0.05) is None
    assert cuped(flat, flat, 0.05) is None
    assert cuped(one, flat, 0.05) is None
    with pytest.raises(ValueError, match="finite"):
        PairSums(1, float("nan"))
    with pytest.raises(ValueError, match="not negative"):
        PairSums(-1)
