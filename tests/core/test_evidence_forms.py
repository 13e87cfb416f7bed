"""The theorem behind every form: the mean of an e-value over its null is at most 1, by enumerating every possible block."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.evidence.counts import Counts, checked_columns, effective, stack_counts
from controlplane.core.evidence.forms import (
    CERTIFICATE_BETS,
    CERTIFICATES,
    FORMS,
    RATING_LEVELS,
    TWO_SAMPLE_BETS,
    rate_log_e,
)

ROUNDING = 1e-12
RATES = st.floats(0.0, 1.0)
MARGINS = st.floats(0.0, 0.9)
UNITS = st.integers(1, 6)
enumerated = settings(max_examples=150, deadline=None)


def binomial(n, p):
    return np.array([comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)])


def mean_e(form, columns, prior, limit, probability):
    """Largest mean over the bets of exp(log e), over all rows of `columns`."""
    checked = checked_columns(form, columns)
    log_e = form.log_e(checked, np.broadcast_to(np.asarray(prior, float), (len(probability), 3)), limit)
    assert np.all(np.isfinite(log_e))
    return float((probability @ np.exp(log_e)).max())


def two_arm_mean(form, n_t, n_c, p_t, p_c, prior, limit):
    x_t, x_c = (grid.ravel() for grid in np.meshgrid(np.arange(n_t + 1), np.arange(n_c + 1), indexing="ij"))
    probability = np.outer(binomial(n_t, p_t), binomial(n_c, p_c)).ravel()
    n = np.ones_like(x_t)
    return mean_e(form, {"nT": n_t * n, "xT": x_t, "nC": n_c * n, "xC": x_c}, prior, limit, probability)


def rate_prior(units, rate):
    return (units, rate * units, rate * units)


PRIORS = st.builds(rate_prior, st.sampled_from([0, 1, 7, 300, 10_000_000]), RATES)


@enumerated
@given(UNITS, UNITS, RATES, MARGINS, RATES, PRIORS)
def test_form_1_is_an_e_value_for_every_treated_rate_up_to_the_margin(n_t, n_c, p_c, margin, inside, prior):
    edge = min(p_c + margin, 1.0)
    for p_t in (edge, edge * inside):
        assert two_arm_mean(FORMS["two_sample"], n_t, n_c, p_t, p_c, prior, margin) <= 1 + ROUNDING


@enumerated
@given(UNITS, UNITS, RATES, st.floats(-0.9, 0.9), RATES, PRIORS)
def test_form_5_is_an_e_value_for_every_treated_rate_from_the_margin_on(n_t, n_c, p_c, margin, inside, prior):
    edge = max(p_c + margin, 0.0)
    if edge > 1.0:
        return  # no treated rate is that much worse: the null is empty
    for p_t in (edge, edge + inside * (1 - edge)):
        assert two_arm_mean(CERTIFICATES["two_sample"], n_t, n_c, p_t, p_c, prior, margin) <= 1 + ROUNDING


@enumerated
@given(UNITS, UNITS, RATES, st.floats(-0.9, 0.9), PRIORS, st.sampled_from([1.0, -1.0]))
def test_the_inverted_tests_of_the_displayed_intervals_are_e_values_too(n_t, n_c, p_c, margin, prior, sign):
    p_t = p_c + margin
    if not 0 <= p_t <= 1:
        return
    grid = np.array(list(product(range(n_t + 1), range(n_c + 1))))
    ones = np.ones(len(grid))
    columns = {"nT": n_t * ones, "xT": grid[:, 0], "nC": n_c * ones, "xC": grid[:, 1]}
    probability = np.outer(binomial(n_t, p_t), binomial(n_c, p_c)).ravel()
    prior = np.broadcast_to(np.asarray(prior, float), (len(grid), 3))
    log_e = rate_log_e(columns, prior, margin, TWO_SAMPLE_BETS + CERTIFICATE_BETS, sign)
    assert (probability @ np.exp(log_e)).max() <= 1 + ROUNDING


@enumerated
@given(st.integers(1, 12), st.floats(1e-6, 0.79), RATES)
def test_form_3_is_an_e_value_up_to_the_limit(n, limit, inside):
    form = FORMS["one_sample"]
    columns = {"nT": np.full(n + 1, n), "xT": np.arange(n + 1)}
    for p in (limit, limit * inside):
        assert mean_e(form, columns, (0, 0, 0), limit, binomial(n, p)) <= 1 + ROUNDING


@enumerated
@given(UNITS, UNITS, RATES, st.floats(0.05, 20.0), RATES)
def test_form_4_is_an_e_value_for_bernoulli_counts_of_any_rarity(n_t, n_c, p_c, ratio, inside):
    edge = min(ratio * p_c, 1.0)
    for p_t in (edge, edge * inside):
        assert two_arm_mean(FORMS["rate_ratio"], n_t, n_c, p_t, p_c, (0, 0, 0), ratio) <= 1 + ROUNDING


@enumerated
@given(st.integers(0, 14), st.floats(0.001, 0.999))
def test_sample_ratio_is_an_e_value_although_an_arm_may_stay_empty(units, share):
    n_t = np.arange(units + 1)
    columns = {"nT": n_t, "nC": units - n_t, "share": np.full(units + 1, share)}
    found = mean_e(FORMS["sample_ratio"], columns, (0, 0, 0), 1.0, binomial(units, share))
    assert found == pytest.approx(1.0, abs=1e-12)


def rating_counts(n):
    return [counts for counts in product(range(n + 1), repeat=5) if sum(counts) == n]


def multinomial(counts, p):
    ways, left = 1, sum(counts)
    for count in counts:
        ways, left = ways * comb(left, count), left - count
    return ways * float(np.prod(np.power(p, counts)))


def distribution(weights):
    return np.asarray(weights) / sum(weights)


def moved(p, mean):
    """`p` mixed with the best or the worst rating until its mean dissatisfaction is `mean`."""
    now, scores = p @ np.asarray(RATING_LEVELS), np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    if mean < now:
        return p * (mean / now) + scores * (1 - mean / now)
    part = (mean - now) / (1 - now) if now < 1 else 0.0
    return p * (1 - part) + scores[::-1] * part


WEIGHTS = st.lists(st.floats(0.001, 1.0), min_size=5, max_size=5).map(distribution)
RATING_PRIORS = st.sampled_from([(0, 0, 0), (50, 10, 4), (1e7, 0, 0), (1e7, 1e7, 1e7), (400, 100, 25)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), WEIGHTS, WEIGHTS, st.floats(0.0, 3.0), RATES, RATING_PRIORS)
@pytest.mark.parametrize(("forms", "worse"), [(FORMS, False), (CERTIFICATES, True)])
def test_rating_forms_are_e_values_on_their_side_of_the_margin(forms, worse, n_t, n_c, p_c, p_t, points, inside, prior):
    edge = p_c @ np.asarray(RATING_LEVELS) + points / 4
    if edge > 1.0:
        return
    blocks = list(product(rating_counts(n_t), rating_counts(n_c)))
    columns = {"kT": [t for t, _ in blocks], "kC": [c for _, c in blocks]}
    for mean in (edge, edge + inside * (1 - edge) if worse else edge * inside):
        treated = moved(p_t, mean)
        probability = np.array([multinomial(t, treated) * multinomial(c, p_c) for t, c in blocks])
        assert mean_e(forms["rating"], columns, prior, points, probability) <= 1 + ROUNDING


def test_the_formulas_of_forms_1_and_5_by_hand():
    n_t, x_t, n_c, x_c, margin = 20, 6, 80, 9, 0.02
    p0 = (31 + 1) / (300 + 2)
    p0t = p0 + margin
    spread = p0t * (1 - p0t) / n_t + p0 * (1 - p0) / n_c
    columns = stack_counts(FORMS["two_sample"], [Counts(n_t, x_t, n_c, x_c)])
    prior = np.array([[300.0, 31.0, 31.0]])
    raised = FORMS["two_sample"].log_e(columns, prior, margin)[0]
    certified = CERTIFICATES["two_sample"].log_e(columns, prior, margin)[0]
    for d, found in zip(TWO_SAMPLE_BETS, raised, strict=True):
        stake = min(d / spread, 0.95 * n_t / p0t, 0.95 * n_c / (1 - p0))
        t, c = stake / n_t, stake / n_c
        by_hand = (1 + t * (1 - p0t)) ** x_t * (1 - t * p0t) ** (n_t - x_t)
        by_hand *= (1 - c * (1 - p0)) ** x_c * (1 + c * p0) ** (n_c - x_c)
        assert found == pytest.approx(np.log(by_hand))
    for d, found in zip(CERTIFICATE_BETS, certified, strict=True):
        stake = min(d / spread, 0.95 * n_t / (1 - p0t), 0.95 * n_c / p0)
        t, c = stake / n_t, stake / n_c
        by_hand = (1 - t * (1 - p0t)) ** x_t * (1 + t * p0t) ** (n_t - x_t)
        by_hand *= (1 + c * (1 - p0)) ** x_c * (1 - c * p0) ** (n_c - x_c)
        assert found == pytest.approx(np.log(by_hand))


def test_the_formula_of_form_4_by_hand():
    n_t, k_t, n_c, k_c, r0 = 50, 4, 150, 3, 1.5
    rho = n_t / (n_t + n_c)
    p0 = rho * r0 / (rho * r0 + 1 - rho)
    columns = stack_counts(FORMS["rate_ratio"], [Counts(n_t, k_t, n_c, k_c)])
    found = FORMS["rate_ratio"].log_e(columns, np.zeros((1, 3)), r0)[0]
    for ratio, log_e in zip(FORMS["rate_ratio"].bets(r0), found, strict=True):
        p1 = rho * r0 * ratio / (rho * r0 * ratio + 1 - rho)
        assert log_e == pytest.approx(np.log((p1 / p0) ** k_t * ((1 - p1) / (1 - p0)) ** k_c))


def test_bets_of_form_3_follow_the_limit():
    form = FORMS["one_sample"]
    assert form.bets(0.05) == (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
    assert form.bets(0.1) == (1.25, 1.5, 2.0, 3.0, 5.0)
    assert form.bets(0.0005) == (2.0, 5.0, 15.0, 50.0, 200.0, 1000.0)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("two_sample", Counts(nT=9, xT=9)),
        ("two_sample", Counts(nC=9, xC=9)),
        ("rate_ratio", Counts(nT=9, xT=9)),
        ("one_sample", Counts(nC=3)),
        ("rating", Counts(kC=(9, 0, 0, 0, 0))),
        ("sample_ratio", Counts(share=0.5)),
        ("sample_ratio", Counts(nT=4, nC=4, share=0.0)),
    ],
)
def test_a_block_that_cannot_speak_has_e_equal_to_one(kind, counts):
    form = FORMS[kind]
    columns = stack_counts(form, [counts])
    assert form.is_empty(columns).tolist() == [True]
    limit = 1.0 if kind == "sample_ratio" else 0.1
    assert np.all(form.log_e(columns, np.zeros((1, 3)), limit) == 0.0)


def test_extreme_blocks_stay_finite():
    blocks = [Counts(1, 1, 10**9, 0), Counts(10**9, 10**9, 1, 1), Counts(10**9, 0, 10**9, 10**9)]
    for prior in ((0, 0, 0), (1e12, 0, 0), (1e12, 1e12, 1e12)):
        for margin in (0.0, 0.02, 0.999):
            for form in (FORMS["two_sample"], CERTIFICATES["two_sample"]):
                columns = stack_counts(form, blocks)
                with np.errstate(all="raise"):
                    log_e = form.log_e(columns, np.broadcast_to(np.array(prior, float), (3, 3)), margin)
                assert np.all(np.isfinite(log_e))


@pytest.mark.parametrize(
    ("stats", "message"),
    [
        ({"nT": [1], "xT": [0], "nC": [1]}, "missing: \\['xC'\\]"),
        ({"nT": [1], "xT": [0], "nC": [1], "xC": [0], "n": [1]}, "not known: \\['n'\\]"),
        ({"nT": [1, 2], "xT": [0], "nC": [1], "xC": [0]}, "one shape"),
        ({"nT": [1], "xT": [2], "nC": [1], "xC": [0]}, "xT exceeds nT"),
        ({"nT": [1], "xT": [0], "nC": [-1], "xC": [-1]}, "nC has a count that is negative"),
        ({"nT": [np.nan], "xT": [0], "nC": [1], "xC": [0]}, "nT has a count"),
    ],
)
def test_impossible_counts_are_refused_by_name(stats, message):
    with pytest.raises(ValueError, match=message):
        checked_columns(FORMS["two_sample"], stats)


def test_ratings_need_five_levels_and_shares_are_fractions():
    with pytest.raises(ValueError, match="5 levels"):
        checked_columns(FORMS["rating"], {"kT": [[1, 2, 3]], "kC": [[1, 2, 3]]})
    with pytest.raises(ValueError, match="share exceeds 1"):
        checked_columns(FORMS["sample_ratio"], {"nT": [1], "nC": [1], "share": [50]})


def test_effective_counts_shrink_evidence_and_nothing_else():
    assert effective(100, 20, 0.0) == (100, 20)
    units, events = effective(100, 20, 0.05)
    assert units == pytest.approx(100 / 5.95)
    assert events / units == pytest.approx(0.2)
    assert effective(0, 0, 0.5) == (0, 0)
    with pytest.raises(ValueError, match="icc"):
        effective(10, 1, 1.5)


def test_counts_survive_a_dictionary():
    for counts in (Counts(5, 1, 95, 20), Counts(kT=(1, 0, 2, 0, 3)), Counts(nT=3, nC=5, share=0.05), Counts()):
        assert Counts.from_dict(counts.to_dict()) == counts
