"""The arms as an experiment, from sums: recounted by hand, never pooled over shares, corrected, provisional where nothing is final."""

from datetime import UTC, datetime, timedelta
from math import sqrt

import numpy as np
import polars as pl
import pytest

from controlplane.core.estimates import Sums, confidence_sequence
from controlplane.core.metrics import METRICS
from dashboards import measures
from dashboards.answers import BAD, GOOD, QUIET, WAIT
from dashboards.experiments import effects, words
from dashboards.experiments.effects import Split, Stage
from dashboards.measures import stratified

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
ESCALATION = METRICS["escalation_rate"]


def rate(metric, span, arm, n, x, segment="retail", n_all=None):
    row = {
        "metric": metric,
        "span": span,
        "segment": segment,
        "arm": arm,
        "n": n,
        "x": x,
        "total": 0.0,
        "total_sq": 0.0,
    }
    return row | {"n_all": n_all or n, "x_all": x, "total_all": 0.0, "total_sq_all": 0.0}


def arms(metric, span, treated, control, segment="retail"):
    return [rate(metric, span, "assistant", *treated, segment), rate(metric, span, "baseline", *control, segment)]


def stage(key, share, hours=1, begun=AT):
    return Stage(key, "r1", "v1", "ramp", share, begun, begun + timedelta(hours=hours), False)


def test_an_effect_is_averaged_over_shares_and_never_pooled():
    """A share that grows while everybody escalates less: pooled totals would show an effect of 16 points, there is none."""
    rows = arms("escalation_rate", 0, (1000, 400), (9000, 3600)) + arms("escalation_rate", 1, (5000, 500), (5000, 500))
    (found,) = effects.effects(["escalation_rate"], pl.DataFrame(rows), None, None)
    assert found.found is not None
    assert found.found.fixed.estimate == pytest.approx(0.0, abs=1e-12)
    assert found.treated == pytest.approx(found.control)
    assert found.verdict == effects.NOT_SHOWN
    pooled = 900 / 6000 - 4100 / 14000
    assert pooled < -0.1


def test_the_interval_is_that_of_review():
    rows = arms("escalation_rate", 0, (400, 100), (3000, 1000)) + arms("escalation_rate", 1, (700, 160), (800, 300))
    (found,) = effects.effects(["escalation_rate"], pl.DataFrame(rows), None, None)
    strata = [(Sums.of_rate(400, 100), Sums.of_rate(3000, 1000)), (Sums.of_rate(700, 160), Sums.of_rate(800, 300))]
    theirs = stratified(strata)
    assert found.found is not None
    ours = found.found.anytime
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((theirs.estimate, theirs.low, theirs.high), rel=1e-9)
    assert found.verdict == effects.BETTER
    assert (found.n_t, found.n_c) == (1100, 3800)


def test_outcomes_are_corrected_together_and_the_service_apart():
    names = ["escalation_rate", "contact_rate", "csat_response_rate", "request_error_rate"]
    rows = [row for name in names for row in arms(name, 0, (2000, 560), (2000, 700))]
    found = {one.metric.name: one for one in effects.effects(names, pl.DataFrame(rows), None, None)}
    alone = found["request_error_rate"].p
    assert [found[name].p for name in names[:3]] == pytest.approx([3 * alone] * 3)  # Holm over three, and over one
    assert found["csat_response_rate"].verdict == effects.WORSE  # less of it is worse
    assert found["escalation_rate"].verdict == effects.BETTER


def test_nothing_final_is_provisional_and_never_judged():
    rows = [{**row, "n": 0, "x": 0, "n_all": 200, "x_all": 50} for row in arms("escalation_rate", 0, (1, 0), (1, 0))]
    (found,) = effects.effects(["escalation_rate"], pl.DataFrame(rows), None, None)
    assert (found.provisional, found.treated, found.n_t, found.mature) == (True, 0.25, 200, 0.0)
    assert (found.found, found.verdict) == (None, effects.UNKNOWN)
    line = words.row(found)
    assert "provisional" in line[-1]
    assert line[4] == "not final yet"


def test_one_arm_or_no_rows_is_unknown():
    frame = pl.DataFrame([rate("escalation_rate", 0, "assistant", 50, 5)])
    one, none = effects.effects(["escalation_rate", "contact_rate"], frame, None, None)
    assert (one.found, one.verdict, one.provisional, one.treated) == (None, effects.UNKNOWN, False, 0.1)
    assert (none.n_t, none.mature, none.treated) == (0, None, None)


def test_an_interval_beyond_everything_possible_is_too_little_data():
    """Three conversations against 65: the band would reach from -289 to +248 percentage points."""
    few = pl.DataFrame(arms("escalation_rate", 0, (3, 1), (65, 35)))
    (found,) = effects.effects(["escalation_rate"], few, None, None)
    assert (found.found, found.verdict, found.n_t, found.treated) == (None, effects.UNKNOWN, 3, pytest.approx(1 / 3))
    (level,), mixed = effects.levels(ESCALATION, few)
    assert (level.found, level.verdict, mixed) == (None, effects.UNKNOWN, None)
    assert effects.trace(ESCALATION, few.with_columns(start=pl.lit(AT))).is_empty()
    review = measures.measure("escalation_rate", few, None)
    assert (review.difference, review.verdict) == (None, measures.UNKNOWN)
    more = pl.DataFrame(arms("escalation_rate", 0, (60, 20), (1300, 700)))
    (found,) = effects.effects(["escalation_rate"], more, None, None)
    assert found.found is not None
    assert -1.0 < found.found.anytime.low < found.found.anytime.high < 1.0


def test_a_segment_is_chosen_or_all_are_added_up():
    rows = arms("escalation_rate", 0, (500, 100), (500, 150)) + arms(
        "escalation_rate", 0, (300, 30), (300, 90), "business"
    )
    frame = pl.DataFrame(rows)
    (whole,), (one,) = (effects.effects(["escalation_rate"], frame, None, name) for name in (None, "business"))
    assert (whole.n_t, one.n_t) == (800, 300)
    assert one.found.fixed.estimate == pytest.approx(-0.2)
    assert whole.found.fixed.estimate == pytest.approx(130 / 800 - 240 / 800)


def test_over_time_each_moment_is_what_was_known_then():
    rng = np.random.default_rng(3)
    rows, kept = [], {arm: Sums() for arm in effects.ARMS}
    for minute in range(30):
        for arm, p in zip(effects.ARMS, (0.2, 0.3), strict=True):
            x = int(rng.binomial(80, p))
            rows.append(
                {
                    "span": 0,
                    "start": AT + timedelta(minutes=minute),
                    "arm": arm,
                    "n": 80,
                    "x": x,
                    "total": 0.0,
                    "total_sq": 0.0,
                }
            )
            kept[arm] = kept[arm] + Sums.of_rate(80, x)
    frame = effects.trace(ESCALATION, pl.DataFrame(rows))
    last = frame.row(-1, named=True)
    theirs = confidence_sequence(kept["assistant"], kept["baseline"], 0.05)
    assert frame.height == 30
    assert (last["estimate"], last["low"], last["high"]) == pytest.approx((theirs.estimate, theirs.low, theirs.high))
    assert (frame["low"] < frame["one_low"]).all()  # one look is narrower, and wrong when one looks again
    assert last["n"] == 30 * 160
    width = (frame["high"] - frame["low"]).to_list()
    assert width[-1] < width[5] / sqrt(2)


def test_over_time_an_arm_alone_shows_nothing():
    rows = [{"span": 0, "start": AT, "arm": "assistant", "n": 5, "x": 1, "total": 0.0, "total_sq": 0.0}]
    assert effects.trace(ESCALATION, pl.DataFrame(rows)).is_empty()


def test_segments_are_corrected_and_told_apart():
    rows = []
    for place in range(8):
        rows += arms("escalation_rate", 0, (1500, 450), (1500, 450), f"s{place}")
    rows += arms("escalation_rate", 0, (1500, 900), (1500, 450), "odd")
    found, mixed = effects.levels(ESCALATION, pl.DataFrame(rows))
    odd = next(level for level in found if level.name == "odd")
    assert (odd.verdict, odd.n_t) == (effects.WORSE, 1500)
    assert all(level.verdict == effects.NOT_SHOWN for level in found if level.name != "odd")
    note = words.forest_note(found, mixed.p, "segments")
    assert "corrected over 9 segments" in note
    assert "Unlike the others: odd" in note


def test_segments_without_data_are_there_without_a_verdict():
    rows = [*arms("escalation_rate", 0, (500, 100), (500, 150)), rate("escalation_rate", 0, "assistant", 3, 1, "rare")]
    found, mixed = effects.levels(ESCALATION, pl.DataFrame(rows))
    assert [(level.name, level.verdict == effects.UNKNOWN) for level in found] == [("rare", True), ("retail", False)]
    assert mixed is None
    assert effects.levels(METRICS["csat"], pl.DataFrame(rows)) == ([], None)


def test_the_split_is_tested_against_the_configured_shares():
    chosen = [stage("r1/1", 1.0), stage("r1/2", 0.05), stage("r1/3", 0.5)]

    def counted(last):
        rows = [rate("traffic_volume", 0, "assistant", 90, 0), *arms("traffic_volume", 1, (52, 0), (948, 0))]
        return pl.DataFrame(
            rows + arms("traffic_volume", 2, (last, 0), (510, 0), "a") + arms("contact_rate", 2, (9, 0), (9, 0))
        )

    found = effects.split(chosen, counted(490))
    assert found is not None
    assert (found.treated, found.units, found.expected, found.broken) == (542, 2000, 550.0, False)
    lost = effects.split(chosen, counted(300))
    assert lost is not None
    assert lost.broken
    assert effects.split(chosen[:1], counted(490)) is None
    assert words.split_tile(None)[0] == "Unknown"
    assert words.split_tile(lost)[2] == BAD


def told(rows, split=None, names=("escalation_rate", "contact_rate")):
    return words.answer("v1", "menu", effects.effects(names, pl.DataFrame(rows), None, None), split)


def test_the_headline_says_what_changed_and_how_sure_it_is():
    better = arms("escalation_rate", 0, (2000, 400), (2000, 700))
    same = arms("contact_rate", 0, (2000, 300), (2000, 300))
    said = told(better + same)
    assert (said.headline, said.tone) == ("v1 is better on 1 outcome.", GOOD)
    assert "Better on Escalation rate (\u221215.0 pp)" in said.sentence
    assert "1 of 2 outcomes show no difference from the menu for sure." in said.sentence
    worse = told(arms("escalation_rate", 0, (2000, 700), (2000, 400)) + same)
    assert (worse.headline, worse.tone) == ("v1 is worse on 1 outcome.", BAD)
    both = told(better + arms("contact_rate", 0, (2000, 700), (2000, 300)))
    assert both.headline == "v1 is worse on 1 outcome and better on 1 outcome."
    quiet = told(same)
    assert (quiet.headline, quiet.tone) == ("What does v1 change? Nothing shown yet.", WAIT)
    assert quiet.sentence == "The one outcome judged so far does not differ from the menu for sure."
    none = told([rate("escalation_rate", 0, "assistant", 50, 5)])
    assert (none.headline, none.tone) == ("What does v1 change? Unknown yet.", QUIET)


def test_a_broken_split_comes_before_every_result():
    said = told(arms("escalation_rate", 0, (2000, 400), (2000, 700)), Split(300, 1000, 500.0, 1e-9))
    assert (said.headline, said.tone) == ("Don't read this comparison.", BAD)
    assert "300 of 1,000" in said.sentence
    assert "better" not in said.sentence


def test_a_rollback_is_said_before_what_was_good():
    effect = effects.effects(
        ["escalation_rate"], pl.DataFrame(arms("escalation_rate", 0, (2000, 400), (2000, 700))), None, None
    )
    said = words.answer("v1", "menu", effect, None, cut=True)
    assert said.tone == BAD
    assert said.sentence.startswith("It was rolled back;")


def test_the_reading_says_why_a_verdict_is_more_careful_than_the_interval():
    rows = [
        row
        for name in ("escalation_rate", "contact_rate", "csat_response_rate")
        for row in arms(name, 0, (2000, 600), (2000, 700))
    ]
    found = effects.effects(["escalation_rate", "contact_rate", "csat_response_rate"], pl.DataFrame(rows), None, None)
    first = found[0]
    assert first.found.anytime.high < 0.0
    assert first.verdict == effects.NOT_SHOWN
    assert "not as one of several measures" in words.reading(first)


def test_an_interval_as_a_bar_is_drawn_around_zero():
    html = words.bar(METRICS["csat"], -0.1, 0.05, 0.2, 0.2)
    assert 'aria-label="from \u22120.10 to +0.20"' in html
    assert "cp-ci-dot" in html
    assert 'cp-ci-limit" style="left:4.5%"' in html  # of a metric of which more is better the harm lies left
    assert "cp-ci-limit" not in words.bar(METRICS["csat"], -0.1, 0.05, 0.2, None)


def test_every_comparable_metric_with_sums_is_there_and_nothing_else():
    names = effects.comparable()
    assert {"csat", "escalation_rate", "resolution_time", "latency_mean"} <= set(names)
    assert not {"latency_p95", "slow_share", "cost_per_resolved", "hallucination_rate"} & set(names)
    assert len(names) >= 10
