"""Tests with many arms: every figure against an independent oracle, the guarantee by simulation."""

import numpy as np
import pytest
from scipy.stats import binom, chisquare, dirichlet_multinomial, multinomial
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from controlplane.analysis.experiments_arms import (
    CONCENTRATIONS,
    Arms,
    arm_finds,
    by_period,
    split_finds,
)


def arms(tests):
    """`tests`: (period, [(n, x), ...]) each."""
    rows = [(i, n, x) for i, (_, found) in enumerate(tests) for n, x in found]
    test, n, x = (np.array(column) for column in zip(*rows, strict=True))
    names = tuple(f"t{i}" for i in range(len(tests)))
    return Arms(names, tuple(period for period, _ in tests), test, n.astype(float), x.astype(float))


def sound(rng, tests, k=4, n=2000, rate=0.02):
    found = []
    for i in range(tests):
        units = rng.multinomial(k * n, [1 / k] * k)
        found.append((str(i % 3), list(zip(units.tolist(), rng.binomial(units, rate).tolist(), strict=True))))
    return arms(found)


def test_figures_equal_their_oracles():
    data = arms([("a", [(1000, 30), (1100, 60), (900, 20)]), ("b", [(500, 5), (700, 9)])])
    finds, splits = arm_finds(data, 0.05, 0.05), split_finds(data, 0.01, 0.05)
    assert finds.p[0] == pytest.approx(proportions_ztest([30, 80], [1000, 2000])[1])
    assert finds.p[4] == pytest.approx(proportions_ztest([9, 5], [700, 500])[1])
    assert finds.side.tolist() == [-1, 1, -1, -1, 1]
    assert splits.p[0] == pytest.approx(chisquare([1000, 1100, 900])[1])
    n = np.array([1000, 1100, 900])
    mixed = np.mean([np.exp(dirichlet_multinomial.logpmf(n, np.full(3, c / 3), 3000)) for c in CONCENTRATIONS])
    assert splits.log_e[0] == pytest.approx(np.log(mixed) - multinomial.logpmf(n, 3000, [1 / 3] * 3))


def test_sound_tests_are_flagged_within_alpha_and_nothing_is_believed():
    data = sound(np.random.default_rng(1), 1500)
    splits, finds = split_finds(data, 0.05, 0.05), arm_finds(data, 0.05, 0.05)
    assert splits.found.sum() <= binom.isf(1e-4, 1500, 0.05)
    assert not splits.e_values.any()
    assert not finds.e_values.any()
    assert 150 < finds.naive.sum() < 450  # five in a hundred of 6,000 arms: what peeking believes
    assert np.mean(np.exp(finds.log_e)) <= 1 + 4 * np.std(np.exp(finds.log_e)) / np.sqrt(6000)
    assert np.mean(np.exp(splits.log_e)) <= 1 + 4 * np.std(np.exp(splits.log_e)) / np.sqrt(1500)


def test_real_differences_and_broken_splits_are_found():
    rng = np.random.default_rng(2)
    good = sound(rng, 200)
    bad = [("bad", [(2000, 40), (2000, 40), (2000, 40), (1500, 90)]) for _ in range(20)]
    rest = [
        (period, list(zip(good.n[good.test == i], good.x[good.test == i], strict=True)))
        for i, period in enumerate(good.period)
    ]
    data = arms([*bad, *rest])
    finds, splits = arm_finds(data, 0.05, 0.05), split_finds(data, 0.01, 0.05)
    assert finds.e_values[3:80:4].all()
    assert finds.hochberg[3:80:4].all()
    assert splits.found[:20].all()
    periods = {item.period: item for item in by_period(data, splits)}
    assert (periods["bad"].tests, periods["bad"].mismatches) == (20, 20)
    low, high = proportion_confint(20, 20, method="beta")
    assert (periods["bad"].share.low, periods["bad"].share.high) == pytest.approx((low, high))


def test_one_arm_no_units_and_no_events_are_not_tested():
    data = arms([("a", [(100, 3)]), ("a", [(0, 0), (50, 1)]), ("b", [(0, 0), (0, 0)]), ("b", [(10, 0), (12, 0)])])
    finds, splits = arm_finds(data, 0.05, 0.05), split_finds(data, 0.01, 0.05)
    assert np.isnan(finds.p).all()
    assert np.isnan(splits.p).tolist() == [True, False, True, False]
    assert {item.period: item.tests for item in by_period(data, splits)} == {"a": 1, "b": 1}
