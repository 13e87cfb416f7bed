"""Replays of one comparison: the naive test against scipy, the guarantees by simulation, what is left out and why."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_ind_from_stats

from controlplane.analysis.experiments import (
    RATE_BETS,
    Comparison,
    brownian_boundary,
    event_evidence,
    growing,
    replay,
    sample_ratio,
    split_changed,
)
from controlplane.core.evidence.forms import count_ratio_log_e


def comparison(n_c, n_t, mean_c, mean_t, variance_c=None, variance_t=None, **more):
    """Looks at 1, 2, ...; outcomes are events unless variances are given."""
    n_c, n_t, mean_c, mean_t = (np.asarray(values, dtype=float) for values in (n_c, n_t, mean_c, mean_t))
    binary = variance_c is None
    variances = (mean_c * (1 - mean_c), mean_t * (1 - mean_t)) if binary else (variance_c, variance_t)
    time = np.arange(1.0, len(n_c) + 1)
    return Comparison(
        "e", "1", "m", time, n_c, n_t, mean_c, mean_t, *(np.asarray(v, dtype=float) for v in variances), binary, **more
    )


def amounts(rng, looks, shift=0.0, batch=200):
    """A comparison of lognormal amounts, and the raw values of both arms."""
    values = {arm: rng.lognormal(1, 0.7, looks * batch) + shift * (arm == "t") for arm in "ct"}
    ends = batch * np.arange(1, looks + 1)
    mean, variance = (
        {arm: [f(values[arm][:end]) for end in ends] for arm in "ct"} for f in (np.mean, lambda v: np.var(v, ddof=1))
    )
    return comparison(ends, ends, mean["c"], mean["t"], variance["c"], variance["t"])


def delayed(rng, looks, arriving, chances, decay=0.6):
    """Cumulative units and events of one arm; a unit of age a has the event at a look with chance `chances[look] decay^a`."""
    waiting, n, x, out = [], 0, 0, []
    for look in range(looks):
        waiting.append(arriving)
        n += arriving
        for age, cohort in enumerate(reversed(range(len(waiting)))):
            new = rng.binomial(waiting[cohort], chances[look] * decay**age)
            waiting[cohort] -= new
            x += new
        out.append((n, x))
    return np.array(out, dtype=float).T


def test_the_naive_test_is_welch_at_every_look():
    data = amounts(np.random.default_rng(1), 6, batch=8)
    found = replay(data, 0.05, 5000)
    p = [
        ttest_ind_from_stats(t, np.sqrt(v), n, c, np.sqrt(w), m, equal_var=False).pvalue
        for t, v, n, c, w, m in zip(
            data.mean_t, data.variance_t, data.n_t, data.mean_c, data.variance_c, data.n_c, strict=True
        )
    ]
    assert found.last_p == pytest.approx(p[-1], rel=1e-9)
    assert found.naive_looks == sum(value <= 0.05 for value in p)


def test_the_brownian_boundary():
    assert brownian_boundary(0.05) == pytest.approx(2.2414, abs=1e-3)  # tables of O'Brien-Fleming, many looks
    steps = np.random.default_rng(2).normal(size=(2000, 1000)) / np.sqrt(1000)
    crossed = (np.abs(np.cumsum(steps, axis=1)) >= brownian_boundary(0.2)).any(axis=1)
    assert abs(crossed.mean() - 0.2) < 0.04  # discrete steps overshoot, so a little fewer


@pytest.mark.parametrize("looks", [4, 12])
def test_events_that_come_late_never_fool_the_exact_test(looks):
    """No difference, delayed events, chances that drift, unequal arms: alarms within alpha over all looks."""
    rng, runs, alpha = np.random.default_rng(looks), 400, 0.1
    wrong = 0
    for _ in range(runs):
        chances = rng.uniform(0.01, 0.3, looks)
        (n_c, x_c), (n_t, x_t) = delayed(rng, looks, 300, chances), delayed(rng, looks, 100, chances)
        found = replay(comparison(n_c, n_t, x_c / n_c, x_t / n_t, shares=(0.25,), shares_known=True), alpha, 5000)
        assert not found.declined
        wrong += found.exact is not None
    assert wrong <= binom.isf(1e-4, runs, alpha)


def test_customers_who_act_at_once_or_never_fool_a_test_on_who_still_waits():
    """Those who never act pile up unequally by chance, so the share of who waits is not the share of who acts: here the test on the units at risk
    is wrong more often than it says, and the one on the configured share is not."""
    rng, runs, looks, new, alpha = np.random.default_rng(9), 1500, 60, 500, 0.05
    n_t = rng.binomial(new, 0.5, (looks, runs))
    n_c = new - n_t
    x_t, x_c = rng.binomial(n_t, 0.7), rng.binomial(n_c, 0.7)

    def crossed(treated_share):
        found = np.zeros(runs, dtype=bool)
        for events, others, share in ((x_t, x_c, treated_share), (x_c, x_t, 1 - treated_share)):
            log_e = np.cumsum(count_ratio_log_e(events, others, share, RATE_BETS), axis=0)
            found |= (np.logaddexp.reduce(log_e, axis=-1) - np.log(len(RATE_BETS)) >= np.log(2 / alpha)).any(axis=0)
        return int(found.sum())

    waiting_t, waiting_c = (np.cumsum(n - x, axis=0) - (n - x) for n, x in ((n_t, x_t), (n_c, x_c)))
    at_risk = (n_t + waiting_t) / (new + waiting_t + waiting_c)
    assert crossed(at_risk) > binom.isf(1e-4, runs, alpha)
    assert crossed(np.full((looks, runs), 0.5)) <= binom.isf(1e-4, runs, alpha)
    one = event_evidence(np.cumsum(x_c, axis=0)[:, 0], np.cumsum(x_t, axis=0)[:, 0], 0.5)
    products = np.cumsum(count_ratio_log_e(x_t[:, 0], x_c[:, 0], np.full(looks, 0.5), RATE_BETS), axis=0)
    assert one[0] == pytest.approx(np.logaddexp.reduce(products, axis=-1) - np.log(len(RATE_BETS)))


def test_a_share_that_nobody_told_or_that_the_units_refute_is_declined():
    n = np.arange(1.0, 11) * 1e5
    rates = np.full(10, 0.1)
    assert (
        replay(comparison(n, n / 9, rates, rates), 0.05, 5000).declined
        == "the configured share of the traffic is not in the file"
    )
    told = comparison(n, n / 9, rates, 1.2 * rates, shares=(0.1,), shares_known=True)
    assert replay(told, 0.05, 5000).exact.side == 1
    # a broken split makes events look different that are not
    broken = comparison(n, 0.97 * n, rates, rates)
    assert replay(broken, 0.05, 5000).declined == "the units are not split as configured"
    # thirds in whole percentages: the units leave one of the shares standing, and the events are judged by that one
    thirds = comparison(n, n * 33 / 34, rates, rates, shares=(33 / 67, 0.5, 34 / 67))
    found = replay(thirds, 0.05, 5000)
    assert (found.declined, found.exact) == ("", None)
    higher = comparison(n, n * 33 / 34, rates, 1.05 * rates, shares=(33 / 67, 0.5, 34 / 67))
    assert replay(higher, 0.05, 5000).exact.side == 1


def test_evidence_is_worth_at_most_its_stake():
    rng = np.random.default_rng(3)
    final = []
    for _ in range(1500):
        x_c, x_t = (np.cumsum(rng.binomial(40, 0.2, 5)) for _ in range(2))
        final.append(np.exp(event_evidence(x_c, x_t, 0.5)[:, -1]))
    mean, error = np.mean(final, axis=0), np.std(final, axis=0) / np.sqrt(1500)
    assert np.all(mean <= 1 + 4 * error)


@pytest.mark.parametrize(("p_t", "side"), [(0.25, 1), (0.15, -1)])
def test_a_real_difference_is_found_on_its_side(p_t, side):
    rng = np.random.default_rng(4)
    n = np.cumsum(np.full(20, 500.0))
    x_c, x_t = np.cumsum(rng.binomial(500, 0.2, 20)), np.cumsum(rng.binomial(500, p_t, 20))
    found = replay(comparison(n, n, x_c / n, x_t / n), 0.05, 5000)
    assert (found.exact.side, found.asymptotic.side, found.group_sequential.side, found.last) == (side,) * 4
    assert found.ours == found.exact
    assert found.low < p_t - 0.2 < found.high


def test_one_look_is_enough_for_a_plain_difference():
    one = comparison([20_000], [20_000], [0.02], [0.03])
    assert replay(one, 0.05, 5000).exact.side == 1
    assert replay(comparison([20_000], [20_000], [0.02], [0.0205]), 0.05, 5000).exact is None


def test_decisions_do_not_change_when_looks_are_added():
    rng = np.random.default_rng(5)
    n = np.cumsum(np.full(30, 300.0))
    x_c, x_t = np.cumsum(rng.binomial(300, 0.2, 30)), np.cumsum(rng.binomial(300, 0.25, 30))
    whole = replay(comparison(n, n, x_c / n, x_t / n), 0.05, 5000)
    end = whole.exact.look + 1
    cut = replay(comparison(n[:end], n[:end], (x_c / n)[:end], (x_t / n)[:end]), 0.05, 5000)
    assert cut.exact == whole.exact
    assert (
        replay(comparison(n[: end - 1], n[: end - 1], (x_c / n)[: end - 1], (x_t / n)[: end - 1]), 0.05, 5000).exact
        is None
    )


def test_peeking_at_noise_cries_wolf_and_the_sequence_does_not():
    rng, runs = np.random.default_rng(6), 150
    found = [replay(amounts(rng, 40, batch=50), 0.05, 5000) for _ in range(runs)]
    assert sum(item.naive is not None for item in found) > 0.2 * runs
    assert sum(item.asymptotic is not None for item in found) <= binom.isf(1e-4, runs, 0.05)
    assert sum(item.group_sequential is not None for item in found) <= binom.isf(1e-4, runs, 0.05)


def test_what_is_unknown_is_counted_and_never_filled_in():
    data = amounts(np.random.default_rng(7), 6, shift=1.0)
    data.variance_c[[1, 5]] = np.nan
    found = replay(data, 0.05, 5000)
    assert (found.last, found.untested, found.without_variance) == (None, 2, 2)
    assert np.isnan(found.last_p)
    assert found.asymptotic.look == 0
    data.variance_c[:] = np.nan
    nothing = replay(data, 0.05, 5000)
    assert nothing.declined == "no look has a known variance"
    assert (nothing.naive, nothing.ours, nothing.naive_looks) == (None, None, 0)


def test_counts_that_fall_are_left_out():
    n = [100, 200, 150, 400]
    found = replay(comparison(n, n, [0.5] * 4, [0.5] * 4), 0.05, 5000)
    assert found.unordered == 1
    gone = comparison([100, 200, 300], [100, 200, 300], [0.5, 0.2, 0.2], [0.5, 0.5, 0.5])
    assert replay(gone, 0.05, 5000).declined == "events that had been counted are gone at a later look"
    with pytest.raises(ValueError, match="no look"):
        replay(comparison([], [], [], []), 0.05, 5000)


def test_a_ramp_is_declined():
    share = np.repeat([0.01, 0.05, 0.2, 0.5], 5)
    n_t, n_c = np.cumsum(1000 * share), np.cumsum(1000 * (1 - share))
    base = np.repeat([0.1, 0.12, 0.15, 0.2], 5)
    x_t, x_c = np.cumsum(1000 * share * base), np.cumsum(1000 * (1 - share) * base)
    found = replay(comparison(n_c, n_t, x_c / n_c, x_t / n_t), 0.05, 5000)
    assert found.naive is not None  # Simpson
    assert found.declined == "the split of the traffic changed"
    assert found.ours is None


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.sampled_from([0.05, 0.3, 0.5]), st.integers(0, 10**6))
def test_a_constant_split_is_no_ramp(looks, share, seed):
    rng = np.random.default_rng(seed)
    new = rng.integers(1, 3000, looks)
    treated = rng.binomial(new, share)
    assert not split_changed(np.cumsum(new - treated).astype(float), np.cumsum(treated).astype(float))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_looks_are_merged_until_both_arms_grow(steps):
    n_c, n_t = np.cumsum(steps, axis=0).astype(float).T
    kept = growing(n_c, n_t)
    assert np.all(np.diff(n_c[kept], prepend=0.0) > 0)
    assert np.all(np.diff(n_t[kept], prepend=0.0) > 0)


def split(n_c, n_t, **more):
    return comparison(n_c, n_t, np.zeros(len(n_c)), np.zeros(len(n_c)), **more)


def test_a_sound_split_is_called_broken_within_alpha():
    rng, runs, alpha = np.random.default_rng(8), 1000, 0.05
    wrong = 0
    for _ in range(runs):
        treated = np.cumsum(rng.binomial(500, 0.5, 20))
        wrong += sample_ratio(split(500 * np.arange(1, 21) - treated, treated), alpha).found is not None
    assert wrong <= binom.isf(1e-4, runs, alpha)


def test_a_broken_split_is_found_and_a_planned_one_is_not_judged():
    n = np.arange(1.0, 11) * 1e5
    broken = sample_ratio(split(n, 0.97 * n), 0.01)
    assert broken.found.side == -1
    assert broken.shares == (0.5,)
    planned = sample_ratio(split(n, 0.5 * n), 0.01)
    assert (planned.shares, planned.found) == ((), None)
    told = sample_ratio(split(n, 0.5 * n, shares=(0.5,), shares_known=True), 0.01)
    assert told.found is not None
    third = 33 / 67
    thirds = sample_ratio(split(n, n * 33 / 34, shares=(third, 0.5, 34 / 67)), 0.01)
    assert (thirds.found, thirds.sound_as) == (None, third)
    assert sample_ratio(split(n, n, shares=(third, 0.5, 34 / 67)), 0.01).sound_as is None
    assert sample_ratio(split(n, n * 33 / 34), 0.01).found is not None
