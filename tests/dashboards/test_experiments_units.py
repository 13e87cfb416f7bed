"""What the control process answers about conversations, as frames: CUPED on and off, forests, quantiles."""

import pytest

from dashboards.experiments import units


def interval(low, middle, high):
    return {"estimate": middle, "low": low, "high": high}


def row(level="", low=-0.1, high=0.0, without=(-0.12, 0.03), verdict="better", n=(400, 600)):
    found = {
        "level": level,
        "n_treated": n[0],
        "n_control": n[1],
        "mean_treated": 0.2,
        "mean_control": 0.25,
        "verdict": verdict,
    }
    found |= {"anytime": interval(low, (low + high) / 2, high), "corrected_p": 0.01}
    raw = {"anytime": interval(*(without[0], sum(without) / 2, without[1])), "mean_treated": 0.21, "mean_control": 0.26}
    return found | {"cuped": {"before": "expected_escalation_rate", "without": raw}}


def answer(**more):
    quiet = row(verdict="unknown") | {"anytime": None, "cuped": None, "n_treated": 0, "n_control": 0}
    metrics = {"escalation_rate": {"arms": {"assistant": row()}}, "resolution_rate": {"arms": {"assistant": quiet}}}
    table = {"segment": "intent", "metric": "escalation_rate", "heterogeneity": None, "levels_left_out": 0}
    table |= {
        "rows": [
            row("fees", verdict="better"),
            row("card_lost", verdict="not shown") | {"anytime": interval(None, 0.1, None)},
        ]
    }
    return {
        "metrics": metrics,
        "segments": [table],
        "quantiles": [],
        "maturity_seconds": {"escalation_rate": 7200.0},
    } | more


def test_cuped_is_measured_by_the_width_of_the_interval():
    found = {metric.name: value for metric, value in units.comparisons(answer())}
    assert units.narrower(found["escalation_rate"]) == pytest.approx(1 - 0.1 / 0.15)
    assert units.narrower(found["resolution_rate"]) is None
    assert units.interval_of(found["escalation_rate"], False)["high"] == 0.03
    assert units.interval_of(found["escalation_rate"], True)["high"] == 0.0
    metric, gain = units.most_gained(answer())
    assert metric.title == "Escalation rate"
    assert "its interval is 33 % shorter, as if there were 125 % more conversations" in units.cuped_sentence(answer())
    assert gain > 0.3


def test_cuped_that_gains_nothing_or_is_impossible_says_so():
    flat = answer(metrics={"escalation_rate": {"arms": {"assistant": row(without=(-0.1, 0.0))}}})
    assert "no interval narrower" in units.cuped_sentence(flat)
    none = row() | {"anytime": None}
    assert "enough final values" in units.cuped_sentence(answer(metrics={"csat": {"arms": {"assistant": none}}}))


def test_a_forest_has_only_what_is_bounded_in_the_order_of_the_analysis():
    table = units.table_of(answer(), "intent", "escalation_rate")
    frame = units.forest_frame(table, cuped=True)
    assert frame.rows(named=True) == [
        {
            "name": "fees (1,000)",
            "estimate": -0.05,
            "low": -0.1,
            "high": 0.0,
            "tone": "good",
            "n": 1000,
            "verdict": "better",
        }
    ]
    assert units.table_of(answer(), "region", "csat") is None


def test_quantiles_are_told_stage_by_stage():
    told = {
        "stage": "v1/4 at 50.0 %",
        "metric": "resolution_time",
        "quantile": 0.9,
        "arm": "assistant",
        "verdict": "better",
    }
    told |= {
        "treated": interval(200, 250, 300),
        "control": interval(250, 310, 400),
        "difference": interval(-100, -60, None),
    }
    unknown = told | {"difference": None}
    rows = units.quantile_rows(answer(quantiles=[told, unknown]))
    assert rows == [
        (
            "at 50 %",
            "p90",
            "4.2 min",
            "5.2 min",
            "\u221260.0 s [\u22121.7 min, unbounded]",
            "better",
        )
    ]
    assert units.stage_words("v1/1") == "at no stated share"


def test_the_whole_answer_as_one_frame():
    frame = units.flat(answer())
    assert frame.height == 4
    assert frame.filter(frame["level"] == "card_lost")["low"].to_list() == [None]
    assert frame["estimate_without_cuped"].to_list()[0] == pytest.approx(-0.045)
    assert units.not_final(answer(), "escalation_rate") == "2 h"


def test_an_interval_that_cuped_made_longer_is_not_told_as_unchanged():
    assert [units.gain_text(gain) for gain in (None, 0.25, 0.0001, -0.0001, -0.02)] == [
        "\u2013",
        "25 %",
        "0 %",
        "0 %",
        "2 % longer",
    ]
