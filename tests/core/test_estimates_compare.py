"""Comparisons against scipy and statsmodels, coverage of the stratified one over a ramp, and what pooling would have said."""

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from controlplane.core.estimates import Sums, confidence_sequence, joined_difference, quantile_ranks
from controlplane.core.estimates_compare import Group, anytime_p, compare, cuped_groups, plain_groups, ratio_groups
from controlplane.core.estimates_mixed import shrunk
from controlplane.core.estimates_moments import PairMoments
from controlplane.core.multiplicity import adjusted
from tests.core.test_estimates_moments import moments

values_ = st.lists(st.floats(-30, 30), min_size=2, max_size=30)


def arm(y, x=None, near=(0.0, 0.0)):
    return {"": moments(y, np.zeros(len(y)) if x is None else x, near)}


def group(y):
    return {"": Group(len(y), float(np.mean(y)), float(np.var(y, ddof=1)))}


@settings(max_examples=150, deadline=None)
@given(values_, values_, st.sampled_from([0.01, 0.05, 0.2]))
def test_one_stratum_is_welchs_test(t, c, alpha):
    t, c = [*t, t[0] + 1.0], [*c, c[0] - 2.0]
    found = compare(plain_groups(arm(t)), plain_groups(arm(c)), alpha)
    theirs = stats.ttest_ind(t, c, equal_var=False)
    ends = theirs.confidence_interval(1 - alpha)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-7)
    assert found.degrees == pytest.approx(theirs.df, rel=1e-7)
    assert (found.fixed.low, found.fixed.high) == pytest.approx((ends.low, ends.high), rel=1e-7, abs=1e-7)
    sequence = confidence_sequence(
        *(Sums(len(v), float(np.sum(v)), float(np.sum(np.square(v)))) for v in (t, c)), alpha
    )
    assert (found.anytime.low, found.anytime.high) == pytest.approx((sequence.low, sequence.high), rel=1e-6, abs=1e-6)
    assert (anytime_p(found.log_e) <= alpha) == (not found.anytime.low <= 0 <= found.anytime.high)


def ramp(rng, effect, scale=1.0):
    """Strata of a ramp over a falling baseline: most of the treated come late, when everybody does better."""
    treated, control = {}, {}
    for i, (share, base) in enumerate(((0.05, 5.0), (0.2, 4.0), (0.5, 2.0), (0.8, 1.0))):
        n = int(4000 * scale)
        n_t = rng.binomial(n, share)
        treated[f"s{i}"] = moments(base + effect + rng.normal(0, 2, n_t), np.zeros(n_t))
        control[f"s{i}"] = moments(base + rng.normal(0, 2, n - n_t), np.zeros(n - n_t))
    return treated, control


def test_a_ramp_is_not_pooled():
    rng, covered, pooled_wrong, runs = np.random.default_rng(5), 0, 0, 300
    for _ in range(runs):
        treated, control = ramp(rng, 0.1, 0.2)
        found = compare(plain_groups(treated), plain_groups(control), 0.1)
        covered += found.fixed.low <= 0.1 <= found.fixed.high
        together = [{"": sum(arm_.values(), moments([], []))} for arm_ in (treated, control)]
        pooled = compare(plain_groups(together[0]), plain_groups(together[1]), 0.1)
        pooled_wrong += not pooled.fixed.low <= 0.1 <= pooled.fixed.high
    assert 0.85 <= covered / runs <= 0.95
    assert pooled_wrong == runs  # Simpson: the pooled totals are wrong every time
    assert found.strata == 4


def test_weights_and_error_of_strata():
    treated, control = (
        {"a": Group(10, 2, 4), "b": Group(30, 5, 9), "x": Group(1, 9, 0)},
        {"a": Group(40, 1, 4), "b": Group(30, 4.5, 1)},
    )
    found = compare(treated, control, 0.05)
    weights = np.array([10 * 40 / 50, 30 * 30 / 60])
    shares = weights / weights.sum()
    assert found.fixed.estimate == pytest.approx(shares @ [1, 0.5])
    assert found.error == pytest.approx(np.sqrt(shares**2 @ [4 / 10 + 4 / 40, 9 / 30 + 1 / 30]))
    assert (found.n_t, found.n_c, found.strata) == (40, 70, 2)
    assert found.mean_t - found.mean_c == pytest.approx(found.fixed.estimate)


def test_relative_covers_and_is_never_below_minus_one():
    rng, covered, runs = np.random.default_rng(7), 0, 600
    for _ in range(runs):
        found = compare(group(rng.gamma(2, 1.2, 60)), group(rng.gamma(2, 1.0, 80)), 0.1)
        covered += found.relative.low <= 0.2 <= found.relative.high
    assert 0.86 <= covered / runs <= 0.94
    tiny = compare(group([0.01, 0.02, 0.0, 9.0]), group([4.0, 5.0, 6.0]), 0.05)
    assert tiny.relative.low > -1.0
    assert compare(group([-1.0, -2.0]), group([1.0, 2.0]), 0.05).relative is None
    assert compare(group([-1.0, -2.0]), group([-1.5, -2.5]), 0.05).relative.estimate == pytest.approx(-0.25)


def test_what_cannot_be_compared():
    assert compare({}, {}, 0.05) is None
    assert compare(group([1, 1]), group([2, 2]), 0.05) is None
    assert compare({"a": Group(5, 1, 1)}, {"b": Group(5, 1, 1)}, 0.05) is None
    assert ratio_groups({"": moments([1, 2], [0, 0])}) == {}
    with pytest.raises(ValueError, match="alpha"):
        compare(group([1, 2]), group([1, 3]), 0.0)


def test_a_ratio_is_the_mean_of_its_linearised_values():
    rng = np.random.default_rng(9)
    x = rng.gamma(3, 1, (2, 500))
    y = 2 * x + rng.normal(0, 1, (2, 500)) + [[0.0], [0.3]]
    found = compare(*(ratio_groups(arm(y[i], x[i], (3.0, 1.0))) for i in (1, 0)), 0.05)
    linear = [(y[i] - y[i].sum() / x[i].sum() * x[i]) / x[i].mean() + y[i].sum() / x[i].sum() for i in (0, 1)]
    theirs = stats.ttest_ind(linear[1], linear[0], equal_var=False)
    ends = theirs.confidence_interval(0.95)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (found.fixed.low, found.fixed.high) == pytest.approx((ends.low, ends.high), rel=1e-9)


def test_cuped_takes_the_past_out_without_bias():
    rng, estimates, covered, runs = np.random.default_rng(4), [], 0, 300
    for _ in range(runs):
        before = rng.gamma(2, 10, (2, 60))
        after = 0.5 * before + rng.normal(0, 5, (2, 60)) + np.array([[0.0], [1.0]])
        treated, control, past = cuped_groups(arm(after[1], before[1]), arm(after[0], before[0]))
        found = compare(treated, control, 0.1).fixed
        estimates.append(found.estimate)
        covered += found.low <= 1.0 <= found.high
    assert np.mean(estimates) == pytest.approx(1.0, abs=4 * np.std(estimates) / np.sqrt(runs))
    assert stats.binom.isf(0.9999, runs, 0.9) <= covered <= stats.binom.isf(1e-4, runs, 0.9)
    assert past.slope == pytest.approx(np.polyfit(before.ravel(), after.ravel(), 1)[0], rel=1e-8)
    assert past.intercept == pytest.approx(np.polyfit(before.ravel(), after.ravel(), 1)[1], rel=1e-7)
    flat = cuped_groups(arm([1, 2, 4]), arm([2, 3, 5]))
    assert (flat[2].slope, flat[2].intercept) == (0.0, 0.0)


def test_rounding_is_nothing_for_the_past_to_explain():
    """Two arms of one value each: their means differ in the last digit, as another order of summing leaves them."""
    treated = {"": PairMoments(52.0, -1.3873961895456768, -1.2625, 0.0, 0.0036, 1.4e-14)}
    control = {"": PairMoments(211.0, -1.3873961895456766, -1.2610, 0.0, 0.0149, 0.0)}
    left, right, past = cuped_groups(treated, control)
    assert (past.slope, left[""].variance, right[""].variance) == (0.0, 0.0, 0.0)
    assert compare(left, right, 0.05) is None


def test_an_arm_that_does_not_vary_is_not_taken_as_exactly_known():
    """Purchases of one in ten units: with eight units all are often 0, and an error of 0 there would make half of healthy comparisons a find."""
    often = group([0.0] * 900 + [1.0, 3.0] * 50)
    few, many = {"": Group(8, 0.0, 0.0)}, {"": Group(400, 0.0, 0.0)}
    assert compare(few, often, 0.05) is None
    assert compare(often, few, 0.05) is None
    found = compare(many, often, 0.05)
    assert found.p < 1e-9
    assert found.fixed.estimate == pytest.approx(-0.2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=2, max_size=12))
def test_shrinkage_is_the_random_effects_model_of_statsmodels(rows):
    effects, errors = map(np.array, zip(*rows, strict=True))
    found = shrunk(effects.tolist(), errors.tolist())
    with np.errstate(all="ignore"):  # theirs divides by 0 where groups differ by less than their errors
        theirs = combine_effects(effects, errors**2, method_re="dl")
    assert found.q == pytest.approx(theirs.q, rel=1e-8, abs=1e-8)
    assert found.between**2 == pytest.approx(max(theirs.tau2, 0.0), rel=1e-6, abs=1e-8)
    if theirs.tau2 > 1e-9:
        assert found.common == pytest.approx(theirs.mean_effect_re, rel=1e-6, abs=1e-8)
    assert all(
        min(found.common, effect) - 1e-9 <= estimate <= max(found.common, effect) + 1e-9
        for effect, estimate in zip(effects, found.estimates, strict=True)
    )


def test_shrunk_estimates_are_nearer_to_the_truth_and_their_intervals_hold_it():
    rng = np.random.default_rng(11)
    raw = pulled = 0.0
    accused = covered = 0
    for _ in range(200):
        errors = rng.uniform(0.3, 1.5, 12)
        true = rng.normal(1.0, 0.4, 12)
        seen = true + rng.normal(0, errors)
        found = shrunk(seen.tolist(), errors.tolist())
        raw += float(np.sum((seen - true) ** 2))
        pulled += float(np.sum((np.array(found.estimates) - true) ** 2))
        covered += int((np.abs(np.array(found.estimates) - true) <= 1.96 * np.array(found.errors)).sum())
        alike = shrunk((1 + rng.normal(0, errors)).tolist(), errors.tolist())
        accused += bool((adjusted(alike.differs, "holm") <= 0.05).any())
    assert pulled < 0.5 * raw
    assert covered / (200 * 12) >= 0.94
    assert accused <= stats.binom.isf(1e-4, 200, 0.05)
    assert shrunk([1.0, 4.0, 2.0], [1.0, 1.0, 1.0]).estimates == (
        1.0,
        4.0,
        2.0,
    )  # three are too few to learn a spread from
    assert shrunk([1.0], [1.0]) is None
    sharp = shrunk([0.0, 0.05], [1e-15, 0.1])  # beside one so well known the other's weight vanishes
    assert sharp.differs == pytest.approx([2 * stats.norm.sf(0.5)] * 2)
    assert sharp.between == 0.0
    with pytest.raises(ValueError, match="above 0"):
        shrunk([1.0, 2.0], [1.0, 0.0])


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_corrected_p_values_are_statsmodels(ours, theirs):
    rng = np.random.default_rng(12)
    for size in (1, 2, 7, 29):
        p = np.round(rng.random(size) ** 3, 2)  # with ties
        assert adjusted(p, ours) == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-12)


def test_corrected_p_values_leave_out_what_was_not_tested():
    found = adjusted([0.01, float("nan"), 0.04], "holm")
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(found[1])
    assert adjusted([0.3, 0.2], "none").tolist() == [0.3, 0.2]
    assert adjusted([], "bh").size == 0
    with pytest.raises(ValueError, match="choose one of holm, bh, none"):
        adjusted([0.1], "sidak")
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjusted([1.1], "bh")


def test_quantile_ranks_cover():
    rng, n, q, covered, runs = np.random.default_rng(13), 60, 0.8, 0, 800
    first, middle, last = quantile_ranks(n, q, 0.1)
    for _ in range(runs):
        ordered = np.sort(rng.exponential(size=n))
        covered += ordered[first - 1] <= -np.log(1 - q) <= ordered[last - 1]
    assert covered / runs >= 0.9 - 0.03
    assert middle == 48
    assert quantile_ranks(3, 0.01)[0] == 0
    assert quantile_ranks(3, 0.99)[2] == 4


def test_joined_intervals():
    from math import inf

    from controlplane.core.estimates import Interval

    found = joined_difference(Interval(5, 4, 7), Interval(2, 1, 6))
    assert (found.estimate, found.low, found.high) == pytest.approx((3, 3 - np.hypot(1, 4), 3 + np.hypot(2, 1)))
    assert joined_difference(Interval(5, 4, inf), Interval(2, 1, 6)).high == inf
    assert anytime_p(-3.0) == 1.0
    assert anytime_p(2.0) == pytest.approx(exp(-2))


@pytest.mark.parametrize("q", [0.01, 0.5, 0.95])
@pytest.mark.parametrize("n", [1, 2, 23, 145, 3000, 1_000_000])
def test_quantile_ranks_are_those_of_the_binomial_distribution(n, q):
    first, _, last = quantile_ranks(n, q)
    assert (first, last) == (int(stats.binom.ppf(0.025, n, q)), int(stats.binom.isf(0.025, n, q)) + 1)
