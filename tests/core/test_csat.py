"""CSAT told honestly: intervals against statsmodels, bounds that contain every truth, tipping points that tip, verdicts that know nothing."""

import json
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from controlplane.core import csat_silent
from controlplane.core.csat import (
    ALIKE,
    EVERY,
    EVERY_PLAUSIBLE,
    UNKNOWN,
    ArmRatings,
    honest_csat,
    mean_interval,
    movement,
    newcombe,
    welch,
)

LEVEL = 0.95
COUNTS = st.tuples(*[st.integers(0, 60)] * 5)


@st.composite
def arms(draw, name="assistant", least=2):
    """Any arm with ratings that vary."""
    ratings = draw(COUNTS.filter(lambda n: sum(n) >= least and sum(count > 0 for count in n) > 1))
    silent, young = draw(st.integers(0, 300)), draw(st.integers(0, 50))
    return ArmRatings(name, sum(ratings) + silent + young, sum(ratings) + silent, ratings)


def made(mean_like, rated=2000, mature=2000, name="assistant"):
    """An arm with shares of the ratings 1..5 as given."""
    ratings = tuple(round(share * rated) for share in mean_like)
    return ArmRatings(name, max(mature, sum(ratings)), max(mature, sum(ratings)), ratings)


def values(arm):
    return np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], arm.ratings)


GOOD, FAIR, POOR = (0.0, 0.05, 0.15, 0.3, 0.5), (0.05, 0.1, 0.2, 0.35, 0.3), (0.3, 0.3, 0.2, 0.1, 0.1)
NONE = ArmRatings("assistant", 0, 0, (0, 0, 0, 0, 0))


@settings(max_examples=30, deadline=None)
@given(arms(), arms("baseline"), st.sampled_from([0.8, 0.95, 0.99]))
def test_every_interval_equals_statsmodels(treated, control, level):
    found = honest_csat(treated, control, level)
    one, two = DescrStatsW(values(treated)), DescrStatsW(values(control))
    for side, arm, oracle in (("treated", treated, one), ("control", control, two)):
        low, high = proportion_confint(arm.rated, arm.mature, alpha=1 - level, method="wilson")
        assert (found[side]["response_rate"]["low"], found[side]["response_rate"]["high"]) == pytest.approx((low, high))
        ends = np.clip(oracle.tconfint_mean(alpha=1 - level), 1, 5)
        assert (found[side]["mean"]["low"], found[side]["mean"]["high"]) == pytest.approx(tuple(ends))
    low, high = CompareMeans(one, two).tconfint_diff(alpha=1 - level, usevar="unequal")
    assert (found["difference"]["mean"]["low"], found["difference"]["mean"]["high"]) == pytest.approx((low, high))
    for key, counts in (
        ("response_rate", (treated.rated, treated.mature, control.rated, control.mature)),
        ("top_two", (sum(treated.ratings[3:]), treated.rated, sum(control.ratings[3:]), control.rated)),
    ):
        low, high = confint_proportions_2indep(*counts, method="newcomb", compare="diff", alpha=1 - level)
        assert (found["difference"][key]["low"], found["difference"][key]["high"]) == pytest.approx(
            (low, high), abs=1e-9
        )


@settings(max_examples=30, deadline=None)
@given(arms(), arms("baseline"), st.data())
def test_the_bounds_contain_the_truth_whatever_the_silent_think(treated, control, data):
    """Every silent customer is given any rating: the true difference lies in the bounds, and the two ends are reached."""
    ends = honest_csat(treated, control, LEVEL)["silent"]["bounds"]
    means = []
    for arm in (treated, control):
        thought = data.draw(st.integers(0, arm.mature - arm.rated), label="content")
        silent = arm.mature - arm.rated
        total = values(arm).sum() + 5 * thought + (silent - thought) * data.draw(st.sampled_from([1.0, 2.0, 3.5]))
        means.append(total / arm.mature)
    assert ends["low"] - 1e-9 <= means[0] - means[1] <= ends["high"] + 1e-9
    silent = [arm.mature - arm.rated for arm in (treated, control)]
    worst = (values(treated).sum() + silent[0]) / treated.mature - (
        values(control).sum() + 5 * silent[1]
    ) / control.mature
    assert ends["low"] == pytest.approx(worst)
    assert ends["interval_low"] <= ends["low"] <= ends["high"] <= ends["interval_high"]


@settings(max_examples=30, deadline=None)
@given(arms(), arms("baseline"))
def test_swapping_the_arms_turns_everything_round(treated, control):
    there, back = honest_csat(treated, control, LEVEL), honest_csat(control, treated, LEVEL)
    for key, item in there["difference"].items():
        assert item["value"] == pytest.approx(-back["difference"][key]["value"])
        assert item["low"] == pytest.approx(-back["difference"][key]["high"])
    assert there["silent"]["bounds"]["low"] == pytest.approx(-back["silent"]["bounds"]["high"])
    for row, other in zip(there["silent"]["table"], back["silent"]["table"], strict=True):
        assert row["both"]["value"] == pytest.approx(-other["both"]["value"])
        assert row["treated"]["low"] == pytest.approx(-other["control"]["high"])


@settings(max_examples=30, deadline=None)
@given(arms(), arms("baseline"), st.integers(1, 500))
def test_more_silence_says_less(treated, control, more):
    quieter = ArmRatings(treated.arm, treated.conversations + more, treated.mature + more, treated.ratings)
    before, after = (honest_csat(arm, control, LEVEL) for arm in (treated, quieter))
    assert after["difference"]["mean"] == before["difference"]["mean"]  # the rated are the same
    one, two = before["silent"]["bounds"], after["silent"]["bounds"]
    assert two["low"] <= one["low"] + 1e-12
    assert two["high"] >= one["high"] - 1e-12


@settings(max_examples=30, deadline=None)
@given(arms(), arms("baseline"))
def test_the_better_the_silent_of_an_arm_the_better_the_arm(treated, control):
    rows = honest_csat(treated, control, LEVEL)["silent"]["table"]
    mine = [row["treated"]["value"] for row in rows]
    theirs = [row["control"]["value"] for row in rows]
    assert all(a <= b + 1e-12 for a, b in pairwise(mine))
    assert all(a >= b - 1e-12 for a, b in pairwise(theirs))
    zero = next(row for row in rows if row["delta"] == 0.0)
    assert zero["both"] == zero["treated"] == zero["control"]


@settings(max_examples=30, deadline=None)
@given(arms(), arms("baseline"), st.sampled_from([0.05, 0.1, 0.5]))
def test_at_a_tipping_point_it_tips(treated, control, margin):
    assume(treated.rated < treated.mature)
    found = honest_csat(treated, control, LEVEL, margin)["silent"]["tipping"]
    share = treated.rated / treated.mature
    for name, target in (("vanishes", 0.0), ("margin", -margin)):
        at = found[name]
        everybody = share * treated.sums.mean + (1 - share) * at["silent_mean"]
        assert everybody - control.sums.mean == pytest.approx(target, abs=1e-9)
        assert at["gap"] == pytest.approx(control.sums.mean - at["silent_mean"])
        assert at["from_rated"] == pytest.approx(at["silent_mean"] - treated.sums.mean)
        assert at["possible"] == (1.0 <= at["silent_mean"] <= 5.0)
    assert found["margin"]["gap"] > found["vanishes"]["gap"]


def test_the_interval_loses_its_side_exactly_where_it_is_said_to():
    treated, control = made(GOOD, 1000, 1600), made(FAIR, 1000, 1600, "baseline")
    found = honest_csat(treated, control, LEVEL)
    assert found["movement"] == "improved"
    delta = found["silent"]["tipping"]["conclusion"]["silent_mean"] - treated.sums.mean
    z = 1.959963984540054
    low = csat_silent.shifted(treated.answers, control.answers, delta, 0.0, z)[1]
    assert low == pytest.approx(0.0, abs=1e-9)
    assert found["silent"]["tipping"]["conclusion"]["gap"] < found["silent"]["tipping"]["vanishes"]["gap"]


def test_a_drop_tips_upwards():
    found = honest_csat(made(POOR, 1000, 3000), made(FAIR, 1000, 3000, "baseline"), LEVEL)
    assert found["movement"] == "worse"
    assert found["silent"]["tipping"]["conclusion"]["silent_mean"] > found["treated"]["mean"]["value"]
    assert found["silent"]["tipping"]["vanishes"]["gap"] < 0


@pytest.mark.parametrize(
    ("mature", "ratings", "verdict"),
    [(2000, GOOD, EVERY), (2200, GOOD, EVERY), (2900, GOOD, EVERY_PLAUSIBLE), (40_000, GOOD, ALIKE), (2900, FAIR, UNKNOWN)],
)  # fmt: skip
def test_the_verdict_says_what_the_answer_rests_on(mature, ratings, verdict):
    control = made(FAIR, 2000, mature, "baseline")
    found = honest_csat(made(ratings, 2000, mature), control, LEVEL, margin=0.02)
    assert found["verdict"] == verdict
    assert found["reason"]


def test_what_is_plausible_is_a_choice_that_is_stated():
    treated, control = made(GOOD, 2000, 2900), made(FAIR, 2000, 2900, "baseline")
    found = [honest_csat(treated, control, LEVEL, plausible=gap) for gap in (0.0, 0.25, 3.0)]
    assert [item["verdict"] for item in found] == [EVERY_PLAUSIBLE, EVERY_PLAUSIBLE, ALIKE]
    assert [item["plausible_gap"] for item in found] == [0.0, 0.25, 3.0]


@pytest.mark.parametrize(
    ("treated", "words"),
    [
        (NONE, "no conversation of assistant can be compared"),
        (ArmRatings("assistant", 50, 0, (0,) * 5), "no conversation of assistant is old enough"),
        (ArmRatings("assistant", 50, 50, (0,) * 5), "nobody rated assistant"),
        (ArmRatings("assistant", 50, 50, (0, 0, 0, 0, 1)), "too few ratings of assistant"),
        (ArmRatings("assistant", 50, 50, (5, 5, 5, 5, 9)), "too few ratings of assistant"),
        (ArmRatings("assistant", 500, 500, (0, 0, 0, 0, 400)), "the ratings of assistant do not vary"),
    ],
)
def test_unknown_is_a_verdict_with_its_reason(treated, words):
    for first, second in ((treated, made(FAIR, name="baseline")), (made(FAIR, name="baseline"), treated)):
        found = honest_csat(first, second, LEVEL)
        assert (found["movement"], found["verdict"]) == (UNKNOWN, UNKNOWN)
        assert words in found["reason"]
        assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_where_nobody_is_silent_nothing_can_tip():
    found = honest_csat(made(GOOD), made(FAIR, name="baseline"), LEVEL)
    assert found["silent"]["bounds"]["low"] == pytest.approx(found["difference"]["mean"]["value"])
    assert found["silent"]["tipping"]["vanishes"] is None
    assert found["verdict"] == EVERY


@pytest.mark.parametrize(
    ("interval", "said"),
    [((0.01, 0.2), "improved"), ((0.0, 0.2), "not worse"), ((-0.09, -0.01), "not worse"), ((-0.1, 0.1), UNKNOWN),
     ((-0.3, -0.01), "worse"), ((-0.3, 0.01), UNKNOWN), ((None, None), UNKNOWN)],
)  # fmt: skip
def test_an_interval_is_one_movement(interval, said):
    assert movement({"value": 0.0, "low": interval[0], "high": interval[1]}, 0.1) == said
    assert movement(None, 0.1) == UNKNOWN


def test_unequal_answering_and_a_top_two_that_moves_the_other_way_are_said():
    treated = ArmRatings("assistant", 1000, 1000, (0, 0, 0, 600, 0))  # all content, nobody delighted
    control = ArmRatings("baseline", 1000, 1000, (0, 0, 60, 0, 240))
    notes = " ".join(honest_csat(treated, control, LEVEL)["notes"])
    assert "assistant is rated more often" in notes
    varied = ArmRatings("assistant", 1000, 1000, (1, 0, 0, 299, 0))
    assert "the mean decides" in " ".join(honest_csat(varied, control, LEVEL)["notes"])


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95.0, float("nan")])
def test_a_level_that_is_no_confidence_is_refused(level):
    with pytest.raises(ValueError, match="level is"):
        honest_csat(made(GOOD), made(FAIR), level)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_a_margin_and_a_gap_are_finite_points(value):
    with pytest.raises(ValueError, match="the margin is"):
        honest_csat(made(GOOD), made(FAIR), LEVEL, margin=value)
    with pytest.raises(ValueError, match="the plausible gap is"):
        honest_csat(made(GOOD), made(FAIR), LEVEL, plausible=value)


@pytest.mark.parametrize(
    ("conversations", "mature", "ratings"),
    [(10, 20, (0,) * 5), (10, 5, (6, 0, 0, 0, 0)), (10, 9, (-1, 0, 0, 0, 2)), (9, 9, (1, 2))],
)
def test_impossible_counts_are_refused(conversations, mature, ratings):
    with pytest.raises(ValueError, match="assistant: "):
        ArmRatings("assistant", conversations, mature, ratings)


def test_pieces_that_cannot_be_told_are_none():
    assert newcombe(0, 0, 1, 2, LEVEL) is None
    assert mean_interval(made((0, 0, 0, 0, 1.0)).sums, LEVEL) is None
    assert welch(made(GOOD).sums, NONE.sums, LEVEL) is None


def test_the_interval_under_an_assumption_covers_a_world_where_it_holds():
    """Silent customers of the assistant lie exactly .8 points below its rated: the row of the table for -.8 covers the truth in about 95 %."""
    rng = np.random.default_rng(5)
    covered, worlds, size = 0, 400, 600
    for _ in range(worlds):
        found = []
        for rate, mean, delta in ((0.3, 3.6, -0.8), (0.5, 3.4, 0.0)):
            answers = rng.binomial(size, rate)
            ratings = np.bincount(1 + rng.binomial(4, (mean - 1) / 4, answers), minlength=6)[1:]
            truth = mean + (1 - rate) * delta
            found.append((ArmRatings("a", size, size, tuple(int(n) for n in ratings)), truth))
        (treated, one), (control, two) = found
        _, low, high = csat_silent.shifted(treated.answers, control.answers, -0.8, 0.0, 1.959963984540054)
        covered += low <= one - two <= high
    assert abs(covered / worlds - 0.95) <= 4 * sqrt(0.95 * 0.05 / worlds)
