"""Estimates of the weekly review against independent ones: statsmodels, SciPy, plain simulation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from controlplane.core.estimates_ratio import PairSums
from controlplane.core.weekly import Estimate, Movement
from controlplane.core.weekly_estimates import (
    FEW,
    Strata,
    change,
    compare,
    one_arm,
    rate_ratio,
    relative,
    verdict,
    z_of,
)
from controlplane.core.weekly_forecast import LEAST, forecast, of_month, whole_days

LEVEL = 0.95


def sums(y: Iterable[float], x: Iterable[float] | None = None) -> PairSums:
    """Sums of customers with `y`, and `x` (1 each) conversations."""
    ys = np.asarray(list(y), dtype=float)
    xs = np.ones_like(ys) if x is None else np.asarray(list(x), dtype=float)
    return PairSums(len(ys), ys.sum(), xs.sum(), (ys**2).sum(), (xs**2).sum(), (xs * ys).sum())


def ends(found: Estimate | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_a_rate_of_single_conversations_is_wilsons() -> None:
    found = one_arm(sums([1] * 30 + [0] * 170), LEVEL, rate=True)
    expected = stats.binomtest(30, 200).proportion_ci(LEVEL, "wilson")
    # the delta method divides by n - 1, so the effective number is 199, not 200
    assert ends(found) == pytest.approx((expected.low, expected.high), abs=5e-4)
    assert found.n == 200


def test_a_mean_is_the_normal_interval() -> None:
    values = np.random.default_rng(1).normal(4, 1, 500)
    found = one_arm(sums(values), LEVEL, rate=False)
    low, high = DescrStatsW(values).zconfint_mean(0.05)
    assert ends(found) == pytest.approx((low, high), rel=1e-9)


def test_conversations_of_one_customer_do_not_look_like_many() -> None:
    """Every customer's conversations end alike: the interval is that of the customers, not of the conversations."""
    customers = [1] * 30 + [0] * 170
    alone = one_arm(sums(customers), LEVEL, rate=True)
    repeated = one_arm(sums([10 * y for y in customers], [10] * 200), LEVEL, rate=True)
    assert repeated.n == 10 * alone.n
    assert ends(repeated) == pytest.approx(ends(alone), rel=1e-9)


@given(st.integers(0, 50), st.integers(1, 50))
def test_a_rate_stays_between_0_and_1(events: int, others: int) -> None:
    found = one_arm(sums([1] * events + [0] * others), LEVEL, rate=True)
    if events + others >= 2:
        low, high = ends(found)
        assert found.value is not None
        assert 0.0 <= low <= found.value <= high <= 1.0


def test_without_data_there_is_no_estimate() -> None:
    assert one_arm(PairSums(), LEVEL, rate=True).value is None
    assert one_arm(sums([1]), LEVEL, rate=True).low is None
    assert one_arm(sums([3, 3, 3]), LEVEL, rate=False).low is None  # an error that nothing shows is not zero
    assert compare({}, LEVEL, rate=True) is None
    assert compare({0: (sums([1] * 50), PairSums())}, LEVEL, rate=True) is None
    assert compare({0: (sums([1] * (FEW - 1)), sums([0, 1] * 50))}, LEVEL, rate=True) is None
    assert change(sums([1] * 5), sums([1] * 50), LEVEL, rate=True) is None
    spent_for_nothing = sums([2.0, 3.0] * 40, [0.0] * 80)  # money, and nobody was helped
    assert change(spent_for_nothing, sums([2.0, 3.0] * 40), LEVEL, rate=False) is None
    assert change(sums([2.0, 3.0] * 40), spent_for_nothing, LEVEL, rate=False) is None
    assert compare({0: (spent_for_nothing, sums([2.0, 3.0] * 40))}, LEVEL, rate=False) is None
    assert relative({0: (sums([2.0, 3.0] * 40), spent_for_nothing)}, LEVEL) is None
    assert one_arm(spent_for_nothing, LEVEL, rate=False).value is None


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, float("nan")])
def test_a_level_that_is_none(level: float) -> None:
    with pytest.raises(ValueError, match="level is"):
        z_of(level)


def test_one_stratum_is_the_difference_of_two_rates() -> None:
    treated, control = [1] * 260 + [0] * 740, [1] * 300 + [0] * 700
    found = compare({0: (sums(treated), sums(control))}, LEVEL, rate=True)
    assert found is not None
    low, high = confint_proportions_2indep(260, 1000, 300, 1000, method="wald", alpha=0.05)
    assert ends(found.difference) == pytest.approx((low, high), abs=2e-4)
    assert found.difference.value == pytest.approx(-0.04)


def test_one_stratum_is_the_difference_of_two_means() -> None:
    rng = np.random.default_rng(2)
    treated, control = rng.normal(4.2, 0.9, 400), rng.normal(4.0, 1.2, 900)
    found = compare({0: (sums(treated), sums(control))}, LEVEL, rate=False)
    assert found is not None
    expected = CompareMeans(DescrStatsW(treated), DescrStatsW(control)).zconfint_diff(0.05, usevar="unequal")
    assert ends(found.difference) == pytest.approx(expected, rel=1e-9)


def test_a_ramp_over_a_drifting_menu_is_no_effect() -> None:
    """Simpson: alike in each stage, but the assistant served most when everything was worse. Pooled it is far worse, in stages it is not."""
    early = (sums([1] * 1 + [0] * 49), sums([1] * 19 + [0] * 931))
    late = (sums([1] * 200 + [0] * 300), sums([1] * 200 + [0] * 300))
    found = compare({0: early, 1: late}, LEVEL, rate=True)
    assert found is not None
    low, high = ends(found.difference)
    assert low < 0.0 < high
    pooled = compare({0: (early[0] + late[0], early[1] + late[1])}, LEVEL, rate=True)
    assert pooled is not None
    assert ends(pooled.difference)[0] > 0.15
    assert found.assistant.value is not None
    assert found.menu.value is not None
    assert found.difference.value == pytest.approx(found.assistant.value - found.menu.value)
    assert sum(found.weights.values()) == pytest.approx(1.0)


def test_strata_without_both_arms_are_left_out() -> None:
    both = (sums([1, 0] * 40), sums([1, 0] * 60))
    alone = {0: (sums([1] * 500), PairSums()), 1: both, 2: (PairSums(), sums([0] * 500))}
    assert compare(alone, LEVEL, rate=True) == compare({1: both}, LEVEL, rate=True)


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.6])
def test_the_interval_of_a_difference_covers(rate: float) -> None:
    """Ramps of four stages, one of them tiny: 95 % of the intervals hold the truth (binomial limits of 2,000 draws)."""
    rng = np.random.default_rng(7)
    sizes = ((4, 80), (40, 760), (200, 800), (300, 300))
    covered = 0
    for _ in range(2000):
        strata: Strata = {}
        drawn = {}
        for key, (n_t, n_c) in enumerate(sizes):
            base = min(rate * (1 + 0.3 * key), 0.9)
            k_t, k_c = rng.binomial(n_t, base), rng.binomial(n_c, base)
            drawn[key] = (PairSums(n_t, k_t, n_t, k_t, n_t, k_t), PairSums(n_c, k_c, n_c, k_c, n_c, k_c))
        strata = drawn
        found = compare(strata, LEVEL, rate=True)
        assert found is not None
        low, high = ends(found.difference)
        covered += low <= 0.0 <= high
    assert 0.935 <= covered / 2000 <= 0.985


def test_relative_is_the_ratio_of_means() -> None:
    rng = np.random.default_rng(3)
    treated, control = rng.lognormal(5.0, 0.5, 800), rng.lognormal(5.2, 0.5, 900)
    found = relative({0: (sums(treated), sums(control))}, LEVEL, scale=1e-3)
    assert found is not None
    error = math.hypot(*(stats.sem(v) / v.mean() for v in (treated, control)))
    middle = math.log(treated.mean() / control.mean())
    expected = [math.exp(middle + sign * stats.norm.ppf(0.975) * error) - 1 for sign in (-1, 1)]
    assert ends(found.difference) == pytest.approx(expected, rel=1e-6)
    assert found.assistant.value == pytest.approx(treated.mean() / 1000)
    assert relative({0: (sums([0.0] * 50), sums([1.0, 2.0] * 50))}, LEVEL) is None


@pytest.mark.parametrize(("k_t", "n_t", "k_c", "n_c"), [(5, 1000, 2, 900), (0, 500, 4, 400), (3, 100, 0, 5000)])
def test_rate_ratio_is_the_exact_conditional_interval(k_t: int, n_t: int, k_c: int, n_c: int) -> None:
    """The p-values of the exact conditional test at both ends are alpha/2."""
    found = rate_ratio(k_t, n_t, k_c, n_c, LEVEL)
    assert found is not None
    low, high = found
    total = k_t + k_c
    if k_t:
        p = n_t * low / (n_t * low + n_c)
        assert stats.binom.sf(k_t - 1, total, p) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0.0
    if k_c:
        p = n_t * high / (n_t * high + n_c)
        assert stats.binom.cdf(k_t, total, p) == pytest.approx(0.025, rel=1e-6)
    else:
        assert high == math.inf


def test_no_event_or_no_exposure_says_nothing_of_the_ratio() -> None:
    assert rate_ratio(0, 100, 0, 100, LEVEL) is None
    assert rate_ratio(3, 100, 0, 0, LEVEL) is None


@pytest.mark.parametrize(
    ("low", "high", "moved"),
    [
        (-0.05, -0.01, Movement.IMPROVED),
        (-0.05, 0.019, Movement.NOT_WORSE),
        (0.005, 0.019, Movement.NOT_WORSE),
        (-0.01, 0.05, Movement.UNKNOWN),
        (0.005, 0.05, Movement.WORSE),
        (0.03, 0.05, Movement.WORSE),
    ],
)
def test_verdicts(low: float, high: float, moved: Movement) -> None:
    """Lower is better; the same mirrored where higher is."""
    lower = verdict(Estimate(value=0.0, low=low, high=high), 0.02, lower_is_better=True)
    higher = verdict(Estimate(value=0.0, low=-high, high=-low), 0.02, lower_is_better=False)
    assert lower == higher
    assert lower[0] is moved


def test_no_interval_is_unknown() -> None:
    assert verdict(None, 0.1, lower_is_better=True)[0] is Movement.UNKNOWN
    assert verdict(Estimate(value=1.0), 0.1, lower_is_better=True)[0] is Movement.UNKNOWN


def test_the_forecast_covers_the_month() -> None:
    """Student's prediction interval of the sum of the days left: 95 % of 2,000 months of independent days."""
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(2000):
        days = rng.normal(100, 15, 31)
        told = forecast(float(days[:14].sum()), [float(day) for day in days[:14]], 17, LEVEL)
        assert told.month.low is not None
        assert told.month.high is not None
        covered += told.month.low <= days.sum() <= told.month.high
    assert 0.935 <= covered / 2000 <= 0.965


def test_a_forecast_needs_whole_days() -> None:
    told = forecast(10.0, [1.0] * (LEAST - 1), 20, LEVEL)
    assert told.month.value is None
    assert "6 whole days" in told.reason
    assert forecast(10.0, [], 0, LEVEL).month.value == 10.0
    assert forecast(10.0, [1.0, 3.0] * 20, 2, LEVEL).days == 28
    with pytest.raises(ValueError, match="days are left"):
        forecast(1.0, [], -1, LEVEL)


def at(day: int, hour: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def test_days_that_are_not_whole_are_no_days() -> None:
    daily = {date(2026, 1, 4): 1.0, date(2026, 1, 5): 2.0, date(2026, 1, 7): 4.0}
    since = at(1) - timedelta(days=5)
    assert whole_days(daily, since, at(8)) == [2.0, 0.0, 4.0]  # the record began at some time of the 4th
    assert whole_days(daily, since, at(7, 12)) == [2.0, 0.0]  # the 7th is not over
    assert whole_days(daily, since, at(10)) == [2.0, 0.0, 4.0, 0.0, 0.0]  # quiet days cost nothing, also the last
    assert whole_days(daily, at(4), at(8)) == [1.0, 2.0, 0.0, 4.0]  # there was a record before the window
    assert whole_days(daily, at(4, 6), at(8)) == [2.0, 0.0, 4.0]  # the window begins within the 4th
    assert whole_days(daily, since, at(4, 6)) == []
    assert whole_days({}, since, at(8)) == whole_days({date(2026, 1, 4): 0.0}, since, at(8)) == []


def test_midnight_belongs_to_the_month_that_ends() -> None:
    daily = {date(2026, 1, 1) + timedelta(days=i): 3.0 for i in range(31)}
    found = of_month(daily, at(1), at(1, month=2), LEVEL)
    assert (found.begin, found.end, found.spent) == (at(1), at(1, month=2), 93.0)
    assert found.told.month.value == 93.0
    later = of_month(daily | {date(2026, 2, 1): 1.0}, at(1), at(1, 12, month=2), LEVEL)
    assert (later.begin, later.spent) == (at(1, month=2), 1.0)
    assert later.told.month.value == pytest.approx(1.0 + 27.5 * 3.0)
    assert later.told.days == 28
