"""Verdicts follow from intervals and lines alone: never from an estimate, never from a figure that is not there."""

from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.acceptance import (
    EVALUATION_METRICS,
    NOTHING,
    Comparison,
    Criterion,
    Figure,
    interval_verdict,
    judge_criterion,
    overall,
    slice_confidence,
)
from controlplane.core.acceptance_file import CriteriaError, parse_criteria
from controlplane.core.model import Verdict

numbers = st.floats(-2, 2)
comparisons = st.sampled_from(Comparison)


@st.composite
def figures(draw: st.DrawFn) -> Figure:
    low, estimate, high = sorted((draw(numbers), draw(numbers), draw(numbers)))
    return Figure(draw(st.integers(1, 500)), estimate, low, high)


def criterion(comparison: Comparison = Comparison.AT_MOST, line: float = 0.1, **more: object) -> Criterion:
    if comparison is Comparison.NOT_WORSE:
        return Criterion(metric="resolution_rate", comparison=comparison, margin=-line, **more)
    return Criterion(metric="resolution_rate", comparison=comparison, limit=line, **more)


@given(figures(), comparisons, numbers)
def test_the_three_verdicts_of_an_interval_exclude_each_other(
    figure: Figure, comparison: Comparison, line: float
) -> None:
    found = interval_verdict(figure, comparison, line, 1)
    assert found in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)
    inside = figure.high <= line if comparison is Comparison.AT_MOST else figure.low >= line
    outside = figure.low > line if comparison is Comparison.AT_MOST else figure.high < line
    assert (found is Verdict.PASS) == inside
    assert (found is Verdict.FAIL) == outside


@given(figures(), comparisons, numbers, st.floats(0, 1))
def test_a_narrower_interval_never_turns_a_pass_into_a_fail(
    figure: Figure, comparison: Comparison, line: float, part: float
) -> None:
    low = figure.low + part * (figure.estimate - figure.low)
    high = figure.high - part * (figure.high - figure.estimate)
    narrow = Figure(figure.n, figure.estimate, min(low, figure.estimate), max(high, figure.estimate))
    wide = interval_verdict(figure, comparison, line, 1)
    assert interval_verdict(narrow, comparison, line, 1) in (
        {wide} if wide is not Verdict.INCONCLUSIVE else set(Verdict)
    )


@given(figures(), st.sampled_from([Comparison.AT_LEAST, Comparison.NOT_WORSE]), numbers)
def test_at_most_is_the_mirror_of_at_least(figure: Figure, comparison: Comparison, line: float) -> None:
    mirrored = Figure(figure.n, -figure.estimate, -figure.high, -figure.low)
    assert interval_verdict(figure, comparison, line, 1) is interval_verdict(mirrored, Comparison.AT_MOST, -line, 1)


@given(figures(), comparisons, numbers, st.integers(1, 1000))
def test_too_few_units_are_no_data_whatever_the_figure(
    figure: Figure, comparison: Comparison, line: float, least: int
) -> None:
    found = interval_verdict(figure, comparison, line, least)
    assert (found is Verdict.NO_DATA) == (figure.n < least)


@pytest.mark.parametrize(
    "figure", [NOTHING, Figure(50, 0.1, None, 0.2), Figure(50, 0.1, 0.0, None), Figure(0, 0, 0, 0)]
)
def test_what_was_not_measured_is_no_data(figure: Figure) -> None:
    result = judge_criterion(criterion(min_n=1), figure)
    assert result.verdict is Verdict.NO_DATA
    assert result.reason


@pytest.mark.parametrize(("low", "high"), [(nan, 0.1), (0.0, nan), (0.3, 0.2)])
def test_ends_that_are_no_interval_are_an_error(low: float, high: float) -> None:
    assert judge_criterion(criterion(), Figure(50, 0.1, low, high)).verdict is Verdict.ERROR


@given(st.lists(figures(), max_size=5), numbers)
def test_the_worst_verdict_speaks_and_nothing_is_no_pass(found: list[Figure], line: float) -> None:
    results = [judge_criterion(criterion(line=line, min_n=1), figure) for figure in found]
    assert overall(results) is max((item.verdict for item in results), default=Verdict.NO_DATA)


@given(figures(), st.lists(figures(), max_size=4), numbers)
def test_a_slice_accuses_and_never_acquits(figure: Figure, parts: list[Figure], line: float) -> None:
    item = criterion(line=line, min_n=1, min_slice_n=1, slices=("topic",))
    alone = judge_criterion(item, figure)
    sliced = judge_criterion(item, figure, [("topic", f"t{i}", part) for i, part in enumerate(parts)])
    assert sliced.verdict >= alone.verdict
    fails = any(part.low > line for part in parts)
    assert sliced.verdict is (Verdict.FAIL if fails else alone.verdict)
    if fails and alone.verdict is not Verdict.FAIL:
        assert "topic = t" in sliced.reason


def test_a_slice_with_few_rows_decides_nothing() -> None:
    item = criterion(min_n=1, min_slice_n=20, slices=("topic",))
    result = judge_criterion(item, Figure(100, 0.0, 0.0, 0.05), [("topic", "Cards", Figure(19, 0.9, 0.7, 1.0))])
    assert result.verdict is Verdict.PASS
    assert result.slices[0].verdict is Verdict.NO_DATA


def test_slices_share_the_error() -> None:
    assert slice_confidence(criterion(confidence=0.95), 5) == pytest.approx(0.99)
    assert slice_confidence(criterion(confidence=0.95), 0) == 0.95


def test_without_an_accepted_release_not_worse_is_no_data_unless_the_file_leaves_it_out() -> None:
    strict = criterion(Comparison.NOT_WORSE, -0.05)
    assert judge_criterion(strict, NOTHING, has_baseline=False).verdict is Verdict.NO_DATA
    lenient = judge_criterion(
        criterion(Comparison.NOT_WORSE, -0.05, without_baseline="skip"), NOTHING, has_baseline=False
    )
    assert not lenient.applied
    assert overall([lenient]) is Verdict.NO_DATA  # nothing else was asked: nothing is passed
    assert overall([lenient, judge_criterion(criterion(), Figure(50, 0, 0, 0.05))]) is Verdict.PASS
    unseen = judge_criterion(lenient.criterion, NOTHING, has_baseline=True)
    assert (unseen.verdict, unseen.applied) == (Verdict.NO_DATA, True)
    assert "evaluate it there first" in unseen.reason


# the file

GOOD = """schema = 1
name = "quality"
owner = "ada"
datasets = ["support", "banking@0123abcd"]

[[criteria]]
metric = "intent_accuracy"
comparison = "at_least"
limit = 0.9
slices = ["topic", "origin"]

[[criteria]]
name = "no step back"
metric = "resolution_rate"
comparison = "not_worse"
margin = 0.03
without_baseline = "skip"
"""


def test_a_good_file_is_read() -> None:
    found = parse_criteria(GOOD)
    assert (found.name, found.owner, found.datasets) == ("quality", "ada", ("support", "banking@0123abcd"))
    first, second = found.criteria
    assert (first.label, first.line, first.slices, first.confidence) == (
        "intent_accuracy",
        0.9,
        ("topic", "origin"),
        0.95,
    )
    assert (second.label, second.line) == ("no step back", -0.03)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("schema = 1", "schema = 2", 1, "not a known schema"),
        ('name = "quality"', "name = 3", 2, "name"),
        ('owner = "ada"', 'owners = "ada"', 3, "unknown key"),
        ('"support", ', '"support", "support", ', 4, "twice"),
        ("banking@0123abcd", "banking@xyz", 4, "data sets"),
        ("limit = 0.9", "limits = 0.9", 9, "unknown key"),
        ("limit = 0.9", "limit = 90", 9, "no share"),
        ("limit = 0.9", "", 6, "no limit"),
        ('"at_least"', '"at_most"', 8, "harm for good"),
        ('"at_least"', '"above"', 8, "not known"),
        ('"intent_accuracy"', '"accuracy"', 7, "not a metric"),
        ('"topic"', '"weather"', 10, "slices"),
        ("margin = 0.03", "margin = 0", 16, "positive margin"),
        ("margin = 0.03", "margin = 0.03\nlimit = 0.5", 17, "belongs to at_most"),
        ('"resolution_rate"', '"latency_p95"', 15, "row by row"),
        ('"skip"', '"pass"', 17, "not known"),
        ("margin = 0.03", "margin = 0.03\nconfidence = 0.4", 17, "no confidence"),
        ("margin = 0.03", "margin = 0.03\nmin_n = 0", 17, "cannot be used"),
        ('name = "no step back"', 'name = "intent_accuracy"', 12, "twice"),
        ("schema = 1", "schema = = 1", 1, "TOML"),
    ],
)
def test_every_mistake_is_named_with_its_line(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(CriteriaError) as caught:
        parse_criteria(GOOD.replace(old, new, 1), "my.toml")
    found = [problem for problem in caught.value.problems if words in problem.text("my.toml")]
    assert found, str(caught.value)
    assert abs(found[0].line - line) <= 1  # a key that is missing is told at its table
    assert str(caught.value).startswith("my.toml:")


def test_a_file_without_criteria_asks_for_nothing_and_is_refused() -> None:
    with pytest.raises(CriteriaError, match="no criterion"):
        parse_criteria('schema = 1\nname = "x"\nowner = "y"\n')


def test_every_metric_says_what_it_is() -> None:
    for name, metric in EVALUATION_METRICS.items():
        assert metric.name == name
        assert metric.better in ("lower", "higher")
        assert metric.unit in ("share", "ms", "usd")
        assert len(metric.text.split()) > 3


@pytest.mark.parametrize(
    ("metric", "comparison", "limit"), [("toxicity_rate", "at_most", 0), ("resolution_rate", "at_least", 1)]
)
def test_a_line_that_no_number_of_rows_can_show_is_refused(metric: str, comparison: str, limit: float) -> None:
    text = f'schema = 1\nname = "n"\nowner = "o"\n[[criteria]]\nmetric = "{metric}"\ncomparison = "{comparison}"\nlimit = {limit}\n'
    with pytest.raises(CriteriaError, match=f"no number of rows can show {metric}"):
        parse_criteria(text)


def test_an_open_verdict_says_how_many_rows_would_be_needed_at_least() -> None:
    criterion = Criterion(metric="toxicity_rate", comparison=Comparison.AT_MOST, limit=0.01)
    for n, hint in ((100, True), (368, False)):
        high = 1.0 - 0.025 ** (1.0 / n)  # Clopper-Pearson without an event
        found = judge_criterion(criterion, Figure(n, 0.0, 0.0, high, "Clopper-Pearson"))
        assert (found.verdict is Verdict.PASS) is not hint
        assert ("with fewer than 368 no share" in found.reason) is hint
