"""Ratio metrics against the linearised mean, and by coverage at every look."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from controlplane.core.estimates_compare import compare, ratio_groups
from controlplane.core.estimates_ratio import PairSums, ratio


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
            found = compare(ratio_groups({"": arms[1]}), ratio_groups({"": arms[0]}), alpha).anytime
            if not found.low <= 0.2 <= found.high:
                missed += 1
                break
    assert missed <= binom.isf(1e-4, runs, alpha)


def test_what_cannot_be_told_is_none_and_nonsense_is_refused():
    one, flat = sums([1], [1]), sums([2, 2, 2], [1, 1, 1])
    assert ratio(one) is None
    assert ratio(sums([1, 2], [0, 0])) is None
    assert compare(ratio_groups({"": one}), ratio_groups({"": flat}), 0.05) is None
    assert compare(ratio_groups({"": flat}), ratio_groups({"": flat}), 0.05) is None
    with pytest.raises(ValueError, match="finite"):
        PairSums(1, float("nan"))
    with pytest.raises(ValueError, match="not negative"):
        PairSums(-1)
