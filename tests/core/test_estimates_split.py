"""Sample-ratio mismatch: scipy's chi-square, a martingale by enumeration, errors under peeking, and a ramp's shares."""

from math import comb, exp

import numpy as np
import pytest
from scipy import stats

from controlplane.core.estimates_split import split, split_log_e, split_over_stages


def test_chi_square_is_scipys():
    found = split((5100, 4900, 10050), (1, 1, 2))
    theirs = stats.chisquare([5100, 4900, 10050], np.array([0.25, 0.25, 0.5]) * 20050)
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert sum(found.expected) == pytest.approx(20050)


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_the_e_value_has_expectation_one(share):
    n = 40
    whole = sum(
        comb(n, k) * share**k * (1 - share) ** (n - k) * exp(split_log_e((k, n - k), (share, 1 - share)))
        for k in range(n + 1)
    )
    assert whole == pytest.approx(1.0, abs=1e-9)


def test_peeking_does_not_accuse_a_healthy_split_and_a_broken_one_is_found():
    rng, alpha, accused, found = np.random.default_rng(1), 0.05, 0, 0
    for share in (0.5, 0.47):
        for _ in range(200):
            treated = np.cumsum(rng.random(8000) < share)
            looks = range(100, 8001, 100)
            fired = any(split_log_e((treated[n - 1], n - treated[n - 1]), (0.5, 0.5)) >= -np.log(alpha) for n in looks)
            if share == 0.5:
                accused += fired
            else:
                found += fired
    assert accused <= stats.binom.isf(1e-4, 200, alpha)
    assert found >= 180


def test_a_ramp_is_tested_against_the_share_of_each_stage():
    rng, accused = np.random.default_rng(2), 0
    shares = (0.01, 0.05, 0.2, 0.5)
    for _ in range(400):
        stages = [(t := int(rng.binomial(3000, share)), 3000 - t, share) for share in shares]
        accused += split_over_stages(stages).p < 0.05
    assert stats.binom.isf(0.999, 400, 0.05) <= accused <= stats.binom.isf(1e-3, 400, 0.05)
    lost = split_over_stages([(int(0.9 * 3000 * share), int(3000 * (1 - share)), share) for share in shares])
    assert lost.p < 0.001
    assert lost.treated < lost.expected
    assert split_over_stages([(50, 0, 1.0), (0, 0, 0.5)]) is None


def test_a_canary_with_few_units_is_tested_exactly():
    """Of 100 units at 1 % five treated are no news (2 in 1000 experiments have as many): the normal distribution would call the split broken."""
    for treated in (0, 1, 5):
        exact = 2 * min(stats.binom.cdf(treated, 100, 0.01), stats.binom.sf(treated - 1, 100, 0.01))
        assert split_over_stages([(treated, 100 - treated, 0.01)]).p == pytest.approx(min(exact, 1.0))
    assert split_over_stages([(5, 95, 0.01)]).p > 0.001
    several = split_over_stages(
        [(2, 98, 0.01), (4, 96, 0.02)]
    ).p  # two stages: the chances of all pairs of counts added up
    one, two = (stats.binom.pmf(np.arange(31), 100, share) for share in (0.01, 0.02))
    above = sum(one[i] * two[j] for i in range(31) for j in range(31) if i + j >= 6)
    assert several == pytest.approx(2 * above)


def test_nonsense_is_refused():
    assert split((0, 0), (1, 1)) is None
    for counts, shares in (((1, 2), (1,)), ((1,), (1,)), ((1, -2), (1, 1))):
        with pytest.raises(ValueError, match="compares at least two counts"):
            split(counts, shares)
    with pytest.raises(ValueError, match="above 0"):
        split((1, 2), (1, 0))
