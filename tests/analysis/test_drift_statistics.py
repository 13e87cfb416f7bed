"""The pure part of the gate numbers against scipy, statsmodels and NumPy."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.spatial import distance

from controlplane.analysis.drift_statistics import (
    chi_square_p_value,
    fewer_values_p,
    jensen_shannon,
    ks_p_value,
    population_stability,
    sturges_bins,
)

counts = st.lists(st.integers(0, 500), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**31), st.sampled_from([0.0, 0.3, 1.0, 4.0]))
def test_ks_p_of_few_rows_is_scipys_exact_one(n: int, m: int, seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    expected = stats.ks_2samp(rng.normal(size=n), rng.normal(shift, 1, size=m), method="exact")
    assert ks_p_value(expected.statistic, n, m)[0] == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(10_000, 10_000), (9_999, 10_000), (37, 10_000), (1, 9_000)])
@pytest.mark.parametrize("z", [0.5, 0.9, 1.3, 2.0, 5.0])
def test_ks_p_at_the_edge_of_the_exact_law(n: int, m: int, z: float) -> None:
    common = np.lcm(n, m)
    attained = round(min(1.0, z / np.sqrt(n * m / (n + m))) * common) / common
    p, law = ks_p_value(attained, n, m)
    assert law == ("exact" if z < 5 and n > 1 else law)
    assert p == pytest.approx(stats.kstwo.sf(attained, max(1, round(n * m / (n + m)))), abs=0.02 if n > 1 else 1)
    assert 0 <= p <= 1


@pytest.mark.parametrize("n", [2_000, 5_000, 20_000])
@pytest.mark.parametrize("z", [0.04, 0.2, 0.4, 0.6, 0.9, 1.2, 1.5, 2.0, 3.0])
def test_ks_p_of_many_rows_is_scipys_asymptotic_one(n: int, z: float) -> None:
    """Two sides of 2n rows have the law of n. SciPy leaves out a term of 2 exp(-8 z^2) from z = 1.48 on, hence the 5e-8."""
    d = z / np.sqrt(n)
    assert ks_p_value(d, 2 * n, 2 * n, exact=False)[0] == pytest.approx(stats.kstwo.sf(d, n), abs=5e-8)


def test_ks_p_far_out_is_small_and_falls() -> None:
    found = [ks_p_value(d, 1e6, 1e6)[0] for d in (0.003, 0.004, 0.005, 0.01, 0.02, 0.1, 1.0)]
    assert found == sorted(found, reverse=True)
    assert found[3] == pytest.approx(2 * np.exp(-2 * 0.01**2 * 5e5), rel=0.1)
    assert found[-1] == 0.0
    assert ks_p_value(0.0, 50, 50)[0] == 1.0
    assert ks_p_value(0.0, 5e5, 5e5)[0] == 1.0


@pytest.mark.parametrize(("n", "exponent", "too_large"), [(2_000, 9, 1.03), (2_000, 100, 21), (100_000, 100, 1.07)])
def test_ks_p_far_out_is_an_upper_estimate_as_its_docstring_says(n: int, exponent: int, too_large: float) -> None:
    d = np.sqrt(exponent * np.log(10) / 2 / n)
    exact = 2 * special.smirnov(n, d)  # both sides: they do not meet so far out
    found = ks_p_value(d, 2 * n, 2 * n, exact=False)[0]
    assert exact * (1 - 1e-3) <= found <= exact * too_large
    assert np.log(found) == pytest.approx(np.log(exact), rel=0.05)


@given(st.integers(1, 40), st.floats(0, 500))
def test_chi_square_p_is_scipys(cells: int, statistic: float) -> None:
    expected = stats.chi2.sf(statistic, cells - 1) if cells > 1 else 1.0
    assert chi_square_p_value(statistic, cells) == pytest.approx(expected, abs=1e-12)


@given(counts, counts)
def test_jensen_shannon_is_scipys_and_psi_is_never_negative(before: list[int], now: list[int]) -> None:
    size = min(len(before), len(now))
    before, now = before[:size], now[:size]
    assume(sum(before) and sum(now))
    r, c = np.array(before) / sum(before), np.array(now) / sum(now)
    assert jensen_shannon(r, c) ** 2 == pytest.approx(float(distance.jensenshannon(r, c)) ** 2, abs=1e-9)
    assert population_stability(r, c) >= 0
    assert population_stability(r, r) == 0


@given(st.integers(2, 10**7), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_sturges_is_numpys_rule(rows: int, low: float, width: float) -> None:
    high = low + width
    assume(high > low)
    values = np.array([low, high])
    expected = int(np.ceil((high - low) / ((high - low) / (np.log2(rows) + 1.0))))
    assert sturges_bins(rows, low, high) == expected
    assert sturges_bins(2, low, high) == len(np.histogram_bin_edges(values, bins="sturges")) - 1
    assert sturges_bins(rows, low, low) == 1


@pytest.mark.parametrize(
    ("before", "now", "rel"),
    [
        ((3, 1040), (0, 326), 1e-9),
        ((3, 1040), (0, 20_000), 1e-9),
        ((17, 35), (13, 35), 0.02),
        ((900, 1000), (850, 1000), 0.1),
    ],
)
def test_the_chance_of_so_few_values_is_fishers(before: tuple[int, int], now: tuple[int, int], rel: float) -> None:
    (k, n), (found, m) = before, now
    expected = stats.hypergeom.cdf(found, n + m, k + found, m)
    assert fewer_values_p(before, now) == pytest.approx(expected, rel=rel)
    assert fewer_values_p((n, n), (m, m)) == fewer_values_p((k, n), (0, 0)) == 1.0
