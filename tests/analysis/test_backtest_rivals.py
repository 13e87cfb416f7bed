"""The emulated rules against independent oracles, and on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions
from statsmodels.stats.proportion import proportions_ztest

from controlplane.analysis import backtest_rivals as rivals
from controlplane.analysis.backtest_rivals import RIVALS, Arm, Series
from controlplane.core.estimates import Sums, confidence_sequence
from controlplane.store.backtest_facts import NEVER

HOUR = rivals.HOUR


def hours(n_t, x_t, n_c, x_c, limit=0.02, absolute=False, span=HOUR):
    """One replay; arrays `(T,)` per hour."""
    counts = [np.asarray(values, dtype=float)[:, None] for values in (n_t, x_t, n_c, x_c)]
    starts = np.zeros(len(n_t), dtype=bool)
    starts[0] = True
    closes = (np.arange(len(n_t)) + 1) * span
    return Series(
        Arm(counts[0], counts[1], counts[1]),
        Arm(counts[2], counts[3], counts[3]),
        closes,
        0,
        starts,
        span,
        limit,
        absolute,
    )


def test_nothing_fires_without_data_or_without_difference():
    empty = hours([0] * 30, [0] * 30, [0] * 30, [0] * 30)
    same = hours([100] * 30, [10] * 30, [100] * 30, [10] * 30)
    for rival in RIVALS:
        assert rival.alarm(empty).tolist() == [NEVER], rival.name
        assert rival.alarm(same).tolist() == [NEVER], rival.name


def test_everything_fires_on_gross_harm_and_after_it_began():
    x_t = [10] * 6 + [60] * 60
    harmed = hours([100] * 66, x_t, [100] * 66, [10, 11] * 33)
    for rival in RIVALS:
        alarm = rival.alarm(harmed)[0]
        assert 6 * HOUR < alarm < NEVER, rival.name


def test_failure_limits_count_failures():
    bad = [20, 10, 20, 20, 10, 20, 20, 20]
    found = hours([100] * 8, bad, [100] * 8, [10] * 8)
    assert rivals.argo_failure_limit(found)[0] == 6 * HOUR  # the 4th failure
    assert rivals.flagger_threshold(found)[0] == 7 * HOUR  # the 5th


def test_the_fixed_threshold_looks_at_the_last_hour_only():
    quarter = HOUR // 4
    x_t = [0] * 8 + [5] * 4 + [0] * 8
    found = hours([25] * 20, x_t, [25] * 20, [0] * 20, limit=0.15, span=quarter)
    assert rivals.fixed_threshold(found)[0] == 12 * quarter
    few = hours([4] * 20, [4] * 20, [25] * 20, [0] * 20, limit=0.15, span=quarter)
    assert rivals.fixed_threshold(few)[0] == NEVER, "16 treated outcomes are too few for a rule"


def test_the_hourly_z_is_the_textbooks():
    n_t, n_c = 400, 500
    for x_t in range(40, 75):
        found = rivals.hourly_z(hours([n_t], [x_t], [n_c], [50]))[0] < NEVER
        _, p = proportions_ztest([x_t, 50], [n_t, n_c], alternative="larger")
        if abs(p - 0.05) > 0.004:  # it pools the variance, this one does not
            assert found == (p < 0.05), x_t
    absolute = hours([400], [30], [0], [0], limit=0.05, absolute=True)
    assert (rivals.hourly_z(absolute)[0] < NEVER) == ((30 / 400 - 0.05) / np.sqrt(0.05 * 0.95 / 400) > 1.6449)


def test_the_hourly_z_begins_anew_with_each_stage():
    x_t = [100, 10, 10]
    found = hours([100] * 3, x_t, [100] * 3, [10] * 3)
    assert rivals.hourly_z(found)[0] == HOUR
    later = Series(**{name: getattr(found, name) for name in found.__dataclass_fields__ if name not in ("starts_stage", "treated")},
                   treated=Arm(found.treated.n, np.array([[10.0], [10.0], [10.0]]), np.array([[10.0], [10.0], [10.0]])),
                   starts_stage=np.array([True, True, False]))  # fmt: skip
    assert rivals.hourly_z(later)[0] == NEVER


@pytest.mark.parametrize("x_t", [60, 80, 95, 110, 140])
def test_growthbook_is_the_confidence_sequence_that_people_see(x_t):
    found = rivals.growthbook_sequential(hours([500], [x_t], [700], [70]))[0] < NEVER
    interval = confidence_sequence(Sums.of_rate(500, x_t), Sums.of_rate(700, 70), 0.05)
    assert found == (interval.low > 0.0)
    assert rivals.confidence_width(1200.0) == pytest.approx((interval.high - interval.low) / 2 / np.sqrt(
        Sums.of_rate(500, x_t).variance / 500 + Sums.of_rate(700, 70).variance / 700))  # fmt: skip


def test_mann_whitney_is_scipys():
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.02, 0.05, 0.1):
        n = 40
        x_t, x_c = rng.binomial(500, 0.1 + shift, n), rng.binomial(500, 0.1, n)
        found = rivals.kayenta_mann_whitney(hours([500] * n, x_t, [500] * n, x_c))[0]
        fired_at = None
        for t in range(3, n + 1):
            u = distributions.mannwhitneyu(x_t[:t], x_c[:t], method="asymptotic", use_continuity=False).statistic
            if (u - t * t / 2) / np.sqrt(t * t * (2 * t + 1) / 12) > rivals.KAYENTA_Z:
                fired_at = t * HOUR
                break
        assert found == (fired_at or NEVER)
