"""Displayed intervals against independent oracles, and their coverage where no oracle exists."""

from collections import Counter
from math import inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from controlplane.core.estimates import (
    Sums,
    bucket,
    bucket_value,
    clopper_pearson,
    confidence_sequence,
    exact_sequence,
    quantile,
    quantile_difference,
    wilson,
)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.01, 0.05, 0.3])
)
@pytest.mark.parametrize(("ours", "method"), [(wilson, "wilson"), (clopper_pearson, "beta")])
def test_rate_intervals_equal_statsmodels(ours, method, counts, alpha):
    found = ours(*counts, alpha)
    low, high = proportion_confint(*counts, alpha=alpha, method=method)
    assert found.estimate == counts[0] / counts[1]
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_a_rate_without_units_is_unknown_and_impossible_counts_are_refused():
    assert wilson(0, 0) is None
    assert clopper_pearson(0, 0) is None
    with pytest.raises(ValueError, match="among the units"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="alpha is 0"):
        wilson(1, 2, 0.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=60), st.integers(0, 60))
def test_sums_merge_exactly_enough_and_equal_numpy(scores, cut):
    def sums(part):
        return Sums(len(part), float(np.sum(part)), float(np.sum(np.square(part))))

    merged = sums(scores[:cut]) + sums(scores[cut:])
    assert merged.mean == pytest.approx(np.mean(scores), abs=1e-9)
    assert merged.variance == pytest.approx(np.var(scores, ddof=1), rel=1e-6, abs=1e-6)


def test_the_half_width_follows_the_formula_and_is_tightest_where_asked():
    treated, control, alpha, best = Sums.of_rate(900, 180), Sums.of_rate(1100, 200), 0.05, 5000.0
    found = confidence_sequence(treated, control, alpha, best)
    n = 2000
    rho = sqrt((-2 * log(alpha) + log(1 - 2 * log(alpha))) / best)
    error = sqrt(0.2 * 0.8 / 899 + (200 / 1100) * (900 / 1100) / 1099)
    half = error * sqrt(n) * sqrt(2 * (n * rho**2 + 1) / (n**2 * rho**2) * log(sqrt(n * rho**2 + 1) / alpha))
    assert found.estimate == pytest.approx(0.2 - 200 / 1100)
    assert found.high - found.estimate == pytest.approx(half)
    assert found.estimate - found.low == pytest.approx(half)

    def relative_width(log_n):  # width over that of a fixed interval
        n = np.exp(log_n)
        interval = confidence_sequence(Sums.of_rate(n / 2, n / 10), Sums.of_rate(n / 2, n / 10), alpha, best)
        return (interval.high - interval.low) * sqrt(n)

    widest_at = np.exp(minimize_scalar(relative_width, bounds=(log(100), log(1e6)), method="bounded").x)
    assert widest_at == pytest.approx(best, rel=0.1)


def test_the_asymptotic_sequence_covers_at_every_look():
    rng = np.random.default_rng(1)
    runs, looks, alpha, true = 300, 60, 0.1, 0.1
    missed = 0
    for _ in range(runs):
        x_t, x_c = np.cumsum(rng.binomial(50, 0.3, looks)), np.cumsum(rng.binomial(50, 0.2, looks))
        n = 50 * np.arange(1, looks + 1)
        intervals = [
            confidence_sequence(Sums.of_rate(m, t), Sums.of_rate(m, c), alpha)
            for m, t, c in zip(n, x_t, x_c, strict=True)
        ]
        missed += any(not i.low <= true <= i.high for i in intervals if i is not None)
    assert missed <= binom.isf(1e-4, runs, alpha)


def test_an_arm_that_never_varied_has_no_known_error():
    assert confidence_sequence(Sums.of_rate(500, 0), Sums.of_rate(500, 20), 0.05) is None
    assert confidence_sequence(Sums.of_rate(1, 1), Sums.of_rate(500, 20), 0.05) is None
    assert confidence_sequence(Sums(9, 0.9, 0.09), Sums(9, 3.0, 2.0), 0.05) is None
    with pytest.raises(ValueError, match="finite"):
        Sums(3, float("nan"), 1)
    with pytest.raises(ValueError, match="among the units"):
        Sums.of_rate(3, 4)


def rate_blocks(rng, n_t, n_c, p_t, p_c, length):
    return {
        "nT": np.full(length, n_t),
        "xT": rng.binomial(n_t, p_t, length),
        "nC": np.full(length, n_c),
        "xC": rng.binomial(n_c, p_c, length),
    }


def test_the_exact_sequence_covers_and_tightens():
    rng = np.random.default_rng(2)
    runs, alpha, widths, missed = 60, 0.2, {40: [], 400: []}, 0
    for _ in range(runs):
        base = np.linspace(0.05, 0.3, 400)  # a drifting control does not matter
        stats = rate_blocks(rng, 20, 80, base + 0.1, base, 400)
        for length in widths:
            found = exact_sequence(
                "two_sample", {name: values[:length] for name, values in stats.items()}, alpha, steps=100
            )
            widths[length].append(found.high - found.low)
        missed += not found.low <= 0.1 <= found.high
    assert missed <= binom.isf(1e-4, runs, alpha)
    assert np.median(widths[400]) < 0.1
    assert np.median(widths[400]) < 0.6 * np.median(widths[40])


def test_the_exact_sequence_of_ratings_counts_in_points():
    rng = np.random.default_rng(3)
    treated, control = [0.3, 0.1, 0.1, 0.2, 0.3], [0.1, 0.1, 0.1, 0.3, 0.4]
    stats = {"kT": rng.multinomial(20, treated, 300), "kC": rng.multinomial(60, control, 300)}
    true = float((np.array(treated) - control) @ np.arange(1, 6))
    found = exact_sequence("rating", stats, 0.05)
    assert found.low <= true <= found.high
    assert found.high < 0
    assert found.estimate == pytest.approx(true, abs=0.1)
    swapped = exact_sequence("rating", {"kT": stats["kC"], "kC": stats["kT"]}, 0.05)
    assert swapped.low > 0


def test_the_exact_sequence_says_when_it_knows_nothing():
    nothing = {name: np.zeros(5) for name in ("nT", "xT", "nC", "xC")}
    assert exact_sequence("two_sample", nothing, 0.05) is None
    little = {"nT": [2], "xT": [1], "nC": [2], "xC": [1]}
    found = exact_sequence("two_sample", little, 0.05)
    assert found.low < -0.9
    assert found.high > 0.9
    changed = {"nT": [500] * 40, "xT": [0] * 20 + [500] * 20, "nC": [500] * 40, "xC": [250] * 40}
    assert exact_sequence("two_sample", changed, 0.05) is None  # no constant difference fits
    with pytest.raises(ValueError, match="two_sample and rating"):
        exact_sequence("one_sample", nothing, 0.05)


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-6, 1e9))
def test_a_bucket_stands_for_its_values_within_one_percent(value):
    assert abs(bucket_value(bucket(value)) - value) <= 0.01 * value * (1 + 1e-9)


def test_quantiles_equal_numpy_within_the_buckets():
    rng = np.random.default_rng(4)
    values = rng.lognormal(6, 0.8, 20_000)
    histogram = Counter(map(bucket, values.tolist()))
    for q in (0.5, 0.9, 0.95, 0.99):
        found = quantile(histogram, q)
        assert found.estimate == pytest.approx(np.quantile(values, q, method="inverted_cdf"), rel=0.0101)
        assert found.low <= found.estimate <= found.high


def test_quantile_intervals_cover():
    rng = np.random.default_rng(5)
    runs, alpha, true, missed = 300, 0.1, float(np.exp(6 + 0.8 * 1.2815515655446004)), 0
    for _ in range(runs):
        found = quantile(Counter(map(bucket, rng.lognormal(6, 0.8, 120).tolist())), 0.9, alpha)
        missed += not found.low <= true <= found.high
    assert missed <= binom.isf(1e-4, runs, alpha)


def test_a_quantile_of_few_values_has_an_open_end():
    few = quantile({bucket(100.0): 20}, 0.95)
    assert few.high == inf
    assert few.low == pytest.approx(100, rel=0.03)
    assert quantile({bucket(100.0): 3}, 0.5).low == 0.0
    assert quantile({}, 0.95) is None
    assert quantile({5: 0}, 0.95) is None
    with pytest.raises(ValueError, match="cannot be negative"):
        quantile({5: -1}, 0.5)
    with pytest.raises(ValueError, match="strictly between"):
        quantile({5: 1}, 1.0)
    with pytest.raises(ValueError, match="no logarithmic bucket"):
        bucket(0.0)


def test_the_difference_of_two_quantiles_covers():
    rng = np.random.default_rng(7)
    runs, alpha, missed = 300, 0.1, 0
    true = float(np.exp(6.2 + 0.6 * 1.2815515655446004) - np.exp(6 + 0.6 * 1.2815515655446004))
    for _ in range(runs):
        treated, control = (
            Counter(map(bucket, rng.lognormal(mean, 0.6, n).tolist())) for mean, n in ((6.2, 150), (6.0, 400))
        )
        found = quantile_difference(treated, control, 0.9, alpha)
        missed += not found.low <= true <= found.high
    assert missed <= binom.isf(1e-4, runs, alpha)
    swapped = quantile_difference(control, treated, 0.9, alpha)
    assert swapped.estimate == pytest.approx(-found.estimate)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))


def test_the_difference_of_quantiles_of_few_values_is_open():
    many, few = {bucket(100.0): 500}, {bucket(50.0): 20}
    found = quantile_difference(many, few, 0.95)
    assert found.low == -inf
    assert found.estimate == pytest.approx(50, abs=2)
    assert quantile_difference(few, many, 0.95).high == inf
    assert quantile_difference(many, {}, 0.95) is None
