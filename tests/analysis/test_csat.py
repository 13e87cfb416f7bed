"""CSAT from counts: strata against Simpson, groups that share the error, delays, the model of the silent in worlds whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import r2_score, roc_auc_score
from statsmodels.api import OLS, add_constant

from controlplane.analysis import csat
from controlplane.analysis.csat_calibration import area, calibration, r_squared
from controlplane.analysis.csat_model import LABEL, Units, _codes, modelled, stage_weights, told_with_rating

LEVEL, MARGIN, GAP = 0.95, 0.1, 0.25
GOOD, POOR = (0.0, 0.0, 0.1, 0.4, 0.5), (0.2, 0.2, 0.2, 0.2, 0.2)


def row(value, stratum, arm, mature, shares, response=0.5, young=0):
    rated = round(mature * response)
    return (value, stratum, arm, mature + young, mature, *(round(rated * share) for share in shares))


RAMP = [  # the assistant equals the menu in both stages, but most of it served in the bad one
    row("all", "s1", "assistant", 100, GOOD), row("all", "s1", "baseline", 9900, GOOD),
    row("all", "s2", "assistant", 5000, POOR), row("all", "s2", "baseline", 5000, POOR),
]  # fmt: skip


def test_a_ramp_over_a_bad_time_makes_no_difference():
    found = csat.overall(RAMP, LEVEL, MARGIN, GAP)
    assert found["pooled"]["difference"]["mean"]["high"] < -0.5  # Simpson
    assert found["pooled"]["movement"] == "worse"
    assert found["csat"]["difference"]["mean"]["value"] == pytest.approx(0.0, abs=0.02)
    assert found["csat"]["movement"] == "not worse"
    assert found["within_stages"]["strata"] == 2
    assert any("the plain total would say worse" in note for note in found["csat"]["notes"])


def test_one_stratum_is_the_plain_total():
    rows = [row("all", "s", "assistant", 800, GOOD, young=40), row("all", "s", "baseline", 900, POOR)]
    found = csat.overall(rows, LEVEL, MARGIN, GAP)
    assert found["within_stages"] is None
    assert found["csat"]["difference"] == found["pooled"]["difference"]
    assert found["csat"]["treated"]["share_mature"] == pytest.approx(800 / 840)


COUNTS = st.tuples(*[st.integers(1, 40)] * 5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(COUNTS, COUNTS, st.integers(0, 200), st.integers(0, 200)), min_size=2, max_size=6))
def test_standardised_arms_are_the_weighted_shares(strata):
    pairs = [
        (
            csat.ArmRatings("assistant", sum(t) + a, sum(t) + a, t),
            csat.ArmRatings("baseline", sum(c) + b, sum(c) + b, c),
        )
        for t, c, a, b in strata
    ]
    weights = np.array([t.mature * c.mature / (t.mature + c.mature) for t, c in pairs])
    weights /= weights.sum()
    for side, arm in enumerate(csat.standardised(pairs)):
        response = weights @ [pair[side].rated / pair[side].mature for pair in pairs]
        assert arm.rated / arm.mature == pytest.approx(response, abs=4 / arm.mature)  # counts are whole
        assert arm.mature <= sum(pair[side].mature for pair in pairs) + 3  # weights never make more units of fewer


def test_the_order_of_strata_and_an_empty_one_change_nothing():
    pairs = list(csat.cells(RAMP)["all"].values())
    alone = (csat.ArmRatings("assistant", 50, 50, (50, 0, 0, 0, 0)), csat.NOBODY[1])
    assert csat.standardised(pairs) == csat.standardised(pairs[::-1]) == csat.standardised([*pairs, alone])
    assert csat.standardised([]) == csat.NOBODY
    assert csat.overall([], LEVEL, MARGIN, GAP)["csat"]["movement"] == "unknown"


def test_groups_share_the_error_and_none_is_dropped():
    rows = [
        item
        for i in range(30)
        for item in (row(f"g{i:02}", "s", "assistant", 200 + i, POOR), row(f"g{i:02}", "s", "baseline", 200 + i, POOR))
    ]
    found = csat.groups(rows, LEVEL, MARGIN, GAP)
    assert len(found) == csat.MOST_GROUPS
    assert found[-1]["value"] == csat.OTHER
    assert {line["level"] for line in found} == {1 - 0.05 / csat.MOST_GROUPS}
    assert sum(line["treated"]["mature"] for line in found) == sum(200 + i for i in range(30))
    weeks = csat.groups(rows, LEVEL, MARGIN, GAP, shared=False)
    assert [line["value"] for line in weeks] == [f"g{i:02}" for i in range(10, 30)]
    assert {line["level"] for line in weeks} == {LEVEL}


def test_a_group_that_is_called_other_is_not_lost_either():
    rows = [item for i in range(25) for item in (row(f"g{i}", "s", "assistant", 200, POOR), row(f"g{i}", "s", "baseline", 200, POOR))]  # fmt: skip
    rows += [row(csat.OTHER, "s", "assistant", 900, POOR), row(csat.OTHER, "s", "baseline", 900, POOR)]
    found = csat.groups(rows, LEVEL, MARGIN, GAP)
    assert [line["value"] for line in found].count(csat.OTHER) == 1
    assert sum(line["treated"]["mature"] for line in found) == 25 * 200 + 900


def test_delays_are_in_order_and_named_by_their_span():
    rows = [
        ("to 1/24", "assistant", 40, 150.0, 600.0),
        ("first 1/288", "baseline", 2, 10.0, 50.0),
        ("after maturity", "assistant", 1, 3.0, 9.0),
    ]
    found = csat.delays(rows, 86_400.0, LEVEL)
    assert [line["bucket"] for line in found] == ["up to 5 min", "5 min to 1 h", "after maturity"]
    assert found[0]["treated"] is None
    assert found[0]["control"] == {"n": 2, "value": 5.0, "low": None, "high": None}
    assert found[1]["treated"]["low"] < 3.75 < found[1]["treated"]["high"]


def test_what_is_left_out_is_said():
    assert csat.coverage_notes([{"repeats": 0, "alone": 0, "late": 0}]) == []
    assert len(csat.coverage_notes([{"repeats": 1, "alone": 2, "late": 3}, {"repeats": 0, "alone": 0, "late": 0}])) == 3


def world(n, seed, *, uplift=0.0, hidden=0.0, informative=True):
    """One arm: who answers depends on escalation and turns, and on a cause that is not logged by `hidden`. Truth, rated mean."""
    rng = np.random.default_rng(seed)
    escalated, turns = (rng.random(n) < 0.3).astype(float), rng.integers(1, 8, n).astype(float)
    intent = np.array(["fees", "cards", "limits", None], dtype=object)[rng.integers(0, 4, n)]
    mood = rng.random(n) < 0.4
    mean = 4.2 + uplift - hidden * mood
    if informative:
        mean = mean - 1.2 * escalated - 0.12 * turns + 0.3 * (intent == "cards")
    rating = np.clip(np.round(mean + rng.normal(0, 0.8, n)), 1, 5)
    chance = 1 / (1 + np.exp(1.0 + 1.4 * escalated - 0.1 * turns + 1.5 * hidden * mood))
    rated = rng.random(n) < chance
    columns = {"escalated": escalated, "turns": turns, "intent": intent, "constant": np.zeros(n)}
    return Units(np.where(rated, rating, np.nan), columns), rating.mean(), rating[rated].mean()


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_logged_is_taken_out_where_the_naive_mean_is_wrong(seed):
    treated, truth, naive = world(6000, seed, uplift=0.3)
    control, other, _ = world(6000, seed + 100)
    found = modelled(treated, control, LEVEL)
    assert found["status"] == "ok"
    assert found["label"] == LABEL
    assert "only by what is logged" in found["label"]
    for kind in ("aipw", "ipw"):
        assert found[kind]["treated"]["low"] <= truth <= found[kind]["treated"]["high"]
        assert found[kind]["difference"]["low"] <= truth - other <= found[kind]["difference"]["high"]
    assert naive > found["aipw"]["treated"]["high"]
    assert found["diagnostics"]["treated"]["effective_ratings"] < found["diagnostics"]["treated"]["rated"]


def test_a_hidden_cause_fools_the_model_and_the_tipping_point_shows_by_how_much():
    """The silent of the assistant are worse for a reason that nobody logged: the model is wrong, says what it assumed, and the bounds hold."""
    treated, truth, _ = world(6000, 4, uplift=0.2, hidden=1.0)
    control, other, _ = world(6000, 5)
    found = modelled(treated, control, LEVEL)
    assert found["status"] == "ok"
    assert found["aipw"]["difference"]["low"] > truth - other  # wrong, and nothing in the data can say so
    assert "assumes" in found["label"]
    told = csat.honest_csat(counted(treated, "assistant"), counted(control, "baseline"), LEVEL)
    bounds, tip = told["silent"]["bounds"], told["silent"]["tipping"]["vanishes"]
    assert bounds["low"] <= truth - other <= bounds["high"]
    assert told["verdict"] in ("rests on the silent being alike", "unknown")
    assert tip["possible"]


def counted(units, name):
    ratings = tuple(int((units.rating == points).sum()) for points in range(1, 6))
    return csat.ArmRatings(name, len(units.rating), len(units.rating), ratings)


@pytest.mark.slow
def test_coverage_over_worlds():
    """Intervals of the difference cover in at least 17 of 20 worlds: fewer has probability 1.6 % at 95 %."""
    covered = 0
    for seed in range(20):
        treated, truth, _ = world(3000, 1000 + seed, uplift=0.3)
        control, other, _ = world(3000, 2000 + seed)
        found = modelled(treated, control, LEVEL)["aipw"]["difference"]
        covered += found["low"] <= truth - other <= found["high"]
    assert covered >= 17


def refused(treated, control):
    found = modelled(treated, control, LEVEL, ("new", "old"))
    assert found["status"] == "unknown"
    assert "aipw" not in found
    assert found["reasons"]
    return " ".join(found["reasons"])


def test_no_number_without_enough_ratings_features_or_information():
    few, *_ = world(900, 6)
    some, *_ = world(6000, 7)
    nothing, *_ = world(6000, 8, informative=False)
    assert "new: fewer than" in refused(few, some)
    assert "nothing is logged" in refused(Units(some.rating, {}), Units(some.rating, {}))
    assert "old: what is logged does not predict the rating" in refused(some, nothing)
    assert "no stage that both arms served" in refused(some, Units(some.rating, some.columns, np.zeros(6000)))


def test_no_number_without_overlap():
    """Escalated customers never answer: nobody rated can stand for them."""
    units, *_ = world(6000, 9)
    silenced = np.where(units.columns["escalated"] == 1, np.nan, units.rating)
    assert "no overlap" in refused(Units(silenced, units.columns), units)


def test_what_came_with_the_rating_is_left_out_by_name():
    units, *_ = world(6000, 10)
    told = np.where(units.rated, (units.rating > 3).astype(float), np.nan)
    leaky = Units(units.rating, {**units.columns, "resolved": told})
    assert told_with_rating(leaky) == ["resolved"]
    found = modelled(leaky, leaky, LEVEL)
    assert found["left_out"] == ["resolved"]
    assert "resolved" not in found["features"]
    everybody = Units(np.full(4, 3.0), {"x": np.array([1.0, np.nan, 2.0, 3.0])})
    assert told_with_rating(everybody) == []


def test_the_same_rows_give_the_same_answer():
    units, *_ = world(1800, 11)
    other, *_ = world(1800, 12)
    assert modelled(units, other, LEVEL) == modelled(units, other, LEVEL)


def test_everybody_rated_is_the_plain_mean():
    units, *_ = world(3000, 13)
    full = Units(np.where(units.rated, units.rating, 4.0 - units.columns["escalated"]), units.columns)
    found = modelled(full, full, LEVEL)
    assert found["status"] == "ok"
    assert found["ipw"]["treated"]["value"] == pytest.approx(full.rating.mean())
    assert found["aipw"]["difference"]["value"] == 0.0
    assert found["diagnostics"]["treated"]["answering_auc"] is None


def test_stage_weights_bring_both_arms_to_one_mix():
    strata = np.array(["a"] * 10 + ["b"] * 40 + ["c"] * 5, dtype=object)
    treated = np.array(([True] * 2 + [False] * 8) + ([True] * 30 + [False] * 10) + [True] * 5)
    weight = stage_weights(strata, treated)
    for stratum, expected in (("a", 1.6), ("b", 7.5), ("c", 0.0)):
        for arm in (treated, ~treated):
            assert weight[(strata == stratum) & arm].sum() == pytest.approx(expected)
    assert len(stage_weights(np.array([]), np.array([], dtype=bool))) == 0


@pytest.mark.parametrize(
    ("column", "codes"),
    [
        (np.array([0.0, 1.0, np.nan, 1.0]), [0, 1, 2, 1]),
        (np.array([np.nan, np.nan]), [0, 0]),
        (np.array(["b", None, "a", "b"], dtype=object), [2, 0, 1, 2]),
        (np.array([5.0, 5.0, 5.0]), [0, 0, 0]),
    ],
)
def test_flags_categories_and_unknown_are_values_of_their_own(column, codes):
    assert _codes(column).tolist() == codes


def test_rare_values_of_a_category_are_one():
    column = np.array([f"c{i}" for i in range(100)] + ["common"] * 50, dtype=object)
    codes = _codes(column)
    assert len(set(codes.tolist())) <= 41
    assert (codes == codes[-1]).sum() == 50


def test_calibration_equals_independent_oracles():
    rng = np.random.default_rng(14)
    predicted = rng.normal(3.5, 0.5, 3000)
    actual = 0.4 + 0.9 * predicted + rng.normal(0, 0.2 + 0.3 * (predicted > 3.5))
    found = calibration(predicted, actual, 1.96)
    fit = OLS(actual, add_constant(predicted)).fit(cov_type="HC0")
    assert found["slope"]["value"] == pytest.approx(fit.params[1])
    assert found["intercept"] == pytest.approx(fit.params[0])
    assert found["slope"]["high"] - found["slope"]["value"] == pytest.approx(1.96 * fit.bse[1])
    assert found["bias"] == pytest.approx(predicted.mean() - actual.mean())
    assert sum(bin_["n"] for bin_ in found["bins"]) == 3000
    assert r_squared(predicted, actual, 1.96)["value"] == pytest.approx(r2_score(actual, predicted))
    happy = actual > 3.5
    told = area(predicted, happy, 1.96)
    assert told["value"] == pytest.approx(roc_auc_score(happy, predicted))
    assert told["low"] < told["value"] < told["high"]
    assert spearmanr(predicted, actual).statistic > 0.5  # the world is not empty


def test_a_perfect_model_errs_by_chance_only_and_a_shifted_one_more():
    rng = np.random.default_rng(15)
    chance = rng.uniform(0.1, 0.9, 20_000)
    events = (rng.random(20_000) < chance).astype(float)
    good, bad = calibration(chance, events, 1.96), calibration(np.minimum(chance + 0.1, 1), events, 1.96)
    assert good["ece"] == pytest.approx(good["ece_noise"], rel=0.8)
    assert bad["ece"] > 5 * bad["ece_noise"]
    assert calibration(np.ones(50), events[:50], 1.96)["slope"] is None
    assert r_squared(np.ones(5), np.ones(5), 1.96) is None
    assert area(chance[:3], np.array([True, False, False]), 1.96) is None
