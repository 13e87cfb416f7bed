"""Figures from outcomes: their intervals keep their confidence, and nothing measured is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.acceptance import EVALUATION_METRICS, NOTHING, Criterion, Figure
from controlplane.core.acceptance_file import parse_criteria
from controlplane.core.model import Verdict
from controlplane.evaluation import measures
from controlplane.evaluation.runner import Outcome
from controlplane.evaluation.verdicts import Baseline, judge

CRITERIA = parse_criteria(
    """schema = 1
name = "c"
owner = "o"
[[criteria]]
metric = "intent_accuracy"
comparison = "at_least"
limit = 0.8
slices = ["topic"]
[[criteria]]
metric = "intent_accuracy"
name = "no step back"
comparison = "not_worse"
margin = 0.2
"""
)


def outcome(i: int, **more: object) -> Outcome:
    return Outcome(id=f"r{i:03d}", slices={"topic": f"t{i % 3}"}, **more)


def test_without_outcomes_there_is_no_figure() -> None:
    found = measures.figures([], 0.95, 7)
    assert set(found) == set(EVALUATION_METRICS)
    assert all(figure == NOTHING for figure in found.values())
    bare = measures.figures([outcome(1)], 0.95, 7)
    assert {name for name, figure in bare.items() if figure.n} == {"escalation_rate"}
    with pytest.raises(KeyError):
        measures.figure("beauty", [], 0.95, 7)


def test_rows_that_do_not_ask_are_not_counted() -> None:
    found = [outcome(1, resolved=True), outcome(2), outcome(3, resolved=False)]
    figure = measures.figure("resolution_rate", found, 0.95, 7)
    assert (figure.n, figure.estimate) == (2, 0.5)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.95]))
def test_a_quantile_lies_in_its_interval(values: list[float], q: float) -> None:
    found = measures.quantile(values, q, 0.95)
    assert found.estimate in values
    assert found.low is None or found.low <= found.estimate
    assert found.high is None or found.high >= found.estimate


def test_a_quantile_covers_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth, hits = float(np.exp(1.6448536)), 0
    for _ in range(600):
        found = measures.quantile(list(np.exp(rng.normal(size=120))), 0.95, 0.95)
        hits += (found.low or 0) <= truth <= (found.high if found.high is not None else np.inf)
    assert hits / 600 >= 0.94


def test_too_few_values_bound_no_tail() -> None:
    found = measures.quantile([1.0, 2.0, 3.0], 0.95, 0.95)
    assert (found.n, found.estimate, found.high) == (3, 3.0, None)
    assert not found.measured


def test_the_calibration_error_is_that_of_the_definition_and_its_interval_shrinks() -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.3, 1.0, 4000)
    honest = (rng.uniform(size=4000) < sure).astype(float)
    assert measures.expected_calibration_error(sure, honest) < 0.03
    boastful = (rng.uniform(size=4000) < sure - 0.2).astype(float)
    assert measures.expected_calibration_error(sure, boastful) == pytest.approx(0.2, abs=0.02)
    by_hand = sum(
        abs(
            honest[(sure > k / 15) & (sure <= (k + 1) / 15)].sum()
            - sure[(sure > k / 15) & (sure <= (k + 1) / 15)].sum()
        )
        for k in range(15)
    )
    assert measures.expected_calibration_error(sure, honest) == pytest.approx(by_hand / 4000)
    small, large = (measures.calibration_error(sure[:n], boastful[:n], 0.95, 7) for n in (100, 4000))
    assert large.high - large.low < small.high - small.low
    assert large.low <= 0.2 <= large.high


def test_the_reliability_curve_holds_every_row_once() -> None:
    found = [outcome(i, intent_correct=i % 4 > 0, confidence=i / 100) for i in range(1, 101)]
    bins = measures.reliability(found)
    assert sum(item.n for item in bins) == 100
    assert all(item.low < item.confidence <= item.high + 1e-9 for item in bins)


def test_the_corrected_rate_is_asked_only_where_there_is_a_correction() -> None:
    found = [outcome(i, hallucinated=i < 5) for i in range(50)]
    assert measures.figure("hallucination_rate_corrected", found, 0.95, 7) == NOTHING
    seen: list[tuple[int, int, float]] = []

    def correct(flagged: int, judged: int, confidence: float) -> Figure:
        seen.append((flagged, judged, confidence))
        return Figure(judged, 0.02, 0.0, 0.1)

    assert measures.figure("hallucination_rate_corrected", found, 0.95, 7, correct).estimate == 0.02
    assert seen == [(5, 50, 0.95)]


# judged


def test_a_failing_slice_fails_the_criterion_and_plain_values_come_out() -> None:
    now = [outcome(i, intent_correct=i % 3 > 0 or i % 2 == 0) for i in range(180)]  # half of topic t0 is wrong
    found = judge(CRITERIA, now, Baseline("ev-1", "v0", now), 7)
    first, second = found.results
    assert {item.value: item.verdict for item in first.slices} == {
        "t0": Verdict.FAIL,
        "t1": Verdict.PASS,
        "t2": Verdict.PASS,
    }
    assert (first.verdict, second.verdict, found.verdict) == (Verdict.FAIL, Verdict.PASS, Verdict.FAIL)
    assert found.value["verdict"] == "FAIL"
    assert set(found.value["slices"]["topic"]) == {"t0", "t1", "t2"}
    assert (
        found.value["comparison"]["metrics"]["intent_accuracy"] | {"p": 1.0, "better": 0}
        == found.value["comparison"]["metrics"]["intent_accuracy"]
    )


def test_a_missing_baseline_is_missing_data_once_a_release_was_accepted() -> None:
    now = [outcome(i, intent_correct=True) for i in range(60)]
    assert judge(CRITERIA, now, None, 7, accepted_before=True).verdict is Verdict.NO_DATA
    assert judge(CRITERIA, now, None, 7).results[1].reason == "there is no accepted release to compare with"


def test_only_rows_that_both_measured_are_paired() -> None:
    now = [outcome(i, intent_correct=True) for i in range(60)]
    before = [outcome(i, intent_correct=None if i < 20 else i % 2 == 0) for i in range(50)]
    found = measures.paired("intent_accuracy", now, before, 0.95, 7)
    assert (found.figure.n, found.better, found.worse) == (30, 15, 0)


def test_the_criterion_of_a_figure_names_its_line() -> None:
    assert Criterion(metric="latency_p95", comparison=CRITERIA.criteria[0].comparison, limit=3.0).line == 3.0


@pytest.mark.parametrize(("high", "kept"), [(0.0, False), (0.02, True)])
def test_a_corrected_interval_that_was_cut_to_nothing_is_none(high: float, kept: bool) -> None:
    outcomes = [Outcome(str(i), {}, hallucinated=False) for i in range(100)]
    corrected = Figure(100, 0.0, 0.0, high, "m")
    found = measures.figure("hallucination_rate_corrected", outcomes, 0.95, 1, lambda *_: corrected)
    assert found.measured is kept
    assert found.n == 100
