"""Acceptance criteria of an offline evaluation, and their verdicts. Pure: figures in, verdicts out.

Rules
- A criterion compares the **interval** of a figure with its line, never the estimate alone. The interval on the good side: PASS; on the bad
  side: FAIL; across the line: INCONCLUSIVE. Nothing measured, or fewer than `min_n` units: NO_DATA, which is never a pass.
- An `at_most` line must be kept from below and an `at_least` line from above; which of both a metric takes follows from what is good.
- `not_worse` compares with the last accepted release on the same rows (paired): PASS when the whole interval of the difference, counted so
  that more is better, lies above minus the margin.
- Slices accuse, they do not acquit: a criterion with `slices` FAILs when one value of a slice fails it, at a confidence shared among the
  slices (Bonferroni), so that many slices do not accuse by chance; a slice with few rows is shown and decides nothing.
- All criteria must pass. That is an intersection-union test (Berger 1982): a release that is on the bad side of one line passes with at most
  that criterion's error, however many criteria there are, so no correction among criteria is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil, isfinite, log, log1p

from controlplane.core.model import Verdict

LOWER, HIGHER = "lower", "higher"


class Comparison(StrEnum):
    """How a figure is held against its line."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    NOT_WORSE = "not_worse"


@dataclass(frozen=True, slots=True)
class EvaluationMetric:
    """A figure of the offline evaluation: what is good, its unit, what one unit of it is, and in words what it is."""

    name: str
    better: str
    unit: str
    of: str
    text: str
    paired: bool = True


def _catalogue(*rows: EvaluationMetric) -> dict[str, EvaluationMetric]:
    return {row.name: row for row in rows}


EVALUATION_METRICS: Mapping[str, EvaluationMetric] = _catalogue(
    EvaluationMetric("intent_accuracy", HIGHER, "share", "labelled rows", "the intent of the first message is right"),
    EvaluationMetric(
        "resolution_rate",
        HIGHER,
        "share",
        "rows with a goal or facts",
        "the bank ends in the goal state and the required facts were said",
    ),
    EvaluationMetric(
        "hallucination_rate",
        LOWER,
        "share",
        "conversations with an answer",
        "an answer is not supported by the reviewed knowledge, as the detector sees it",
    ),
    EvaluationMetric(
        "hallucination_rate_corrected",
        LOWER,
        "share",
        "conversations with an answer",
        "the same, corrected for the detector's own error",
        paired=False,
    ),
    EvaluationMetric("toxicity_rate", LOWER, "share", "conversations", "something toxic was said to the customer"),
    EvaluationMetric(
        "calibration_error",
        LOWER,
        "share",
        "labelled rows",
        "expected calibration error of the intent's probability, 15 bins",
        paired=False,
    ),
    EvaluationMetric(
        "misrouting_rate",
        LOWER,
        "share",
        "rows that must reach a person",
        "a mandatory category was not given to a person at once",
    ),
    EvaluationMetric(
        "over_routing_rate",
        LOWER,
        "share",
        "rows that need no person",
        "a person was made mandatory where none was needed",
    ),
    EvaluationMetric(
        "out_of_scope_rejected",
        HIGHER,
        "share",
        "rows out of scope",
        "a question that is none of ours was not answered",
    ),
    EvaluationMetric("cache_wrong_serve", LOWER, "share", "answers from the cache", "the cache served a wrong answer"),
    EvaluationMetric("escalation_rate", LOWER, "share", "conversations", "the conversation ended with a person"),
    EvaluationMetric("error_rate", LOWER, "share", "turns", "the turn failed or timed out", paired=False),
    EvaluationMetric("latency_p50", LOWER, "ms", "turns", "median time to answer a turn", paired=False),
    EvaluationMetric("latency_p95", LOWER, "ms", "turns", "95th percentile of the time to answer a turn", paired=False),
    EvaluationMetric("cost_per_conversation", LOWER, "usd", "conversations", "mean price of the model calls"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One line that a release must keep. `limit` for `at_most` and `at_least`, `margin` for `not_worse`, both in the metric's unit.

    `confidence` is that of the two-sided interval. `without_baseline` says what `not_worse` means before any release was accepted:
    `no_data` keeps the gate shut, `skip` leaves the criterion out of the verdict and says so.
    """

    metric: str
    comparison: Comparison
    limit: float | None = None
    margin: float | None = None
    name: str = ""
    confidence: float = 0.95
    min_n: int = 30
    slices: tuple[str, ...] = ()
    min_slice_n: int = 20
    without_baseline: str = "no_data"

    @property
    def label(self) -> str:
        """What it is called in a report."""
        return self.name or self.metric + (" not worse" if self.comparison is Comparison.NOT_WORSE else "")

    @property
    def line(self) -> float:
        """Where the line is: the limit, or minus the margin of a difference."""
        if self.comparison is Comparison.NOT_WORSE:
            return -(self.margin or 0.0)
        return self.limit if self.limit is not None else 0.0


@dataclass(frozen=True, slots=True)
class Criteria:
    """A validated criteria file. `datasets` are the names (or NAME@VERSION) it is for; empty: any registered data set."""

    name: str
    owner: str
    datasets: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate with its interval over `n` units; all None and 0 where there was nothing to measure."""

    n: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""

    @property
    def measured(self) -> bool:
        """Whether it has an interval to judge by."""
        return self.n > 0 and self.low is not None and self.high is not None


NOTHING = Figure(0)


@dataclass(frozen=True, slots=True)
class SliceVerdict:
    """A criterion on the rows of one slice value, such as topic = Cards."""

    slice: str
    value: str
    figure: Figure
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """A criterion with the figure it was judged by. `applied` False: left out of the verdict, as its file says."""

    criterion: Criterion
    figure: Figure
    verdict: Verdict
    reason: str
    applied: bool = True
    slices: tuple[SliceVerdict, ...] = field(default=())


def interval_verdict(figure: Figure, comparison: Comparison, line: float, min_n: int) -> Verdict:
    """PASS, FAIL or INCONCLUSIVE of an interval against a line; NO_DATA without enough units, ERROR for ends that are no numbers."""
    if not figure.measured or figure.n < max(min_n, 1):
        return Verdict.NO_DATA
    low, high = figure.low, figure.high
    if low is None or high is None or low != low or high != high or low > high:
        return Verdict.ERROR
    if comparison is Comparison.AT_MOST:
        return Verdict.PASS if high <= line else Verdict.FAIL if low > line else Verdict.INCONCLUSIVE
    return Verdict.PASS if low >= line else Verdict.FAIL if high < line else Verdict.INCONCLUSIVE


def slice_confidence(criterion: Criterion, slices: int) -> float:
    """Confidence of each slice's interval so that all of them together keep the criterion's (Bonferroni)."""
    return 1.0 - (1.0 - criterion.confidence) / max(slices, 1)


def judge_criterion(
    criterion: Criterion, figure: Figure, slices: Sequence[tuple[str, str, Figure]] = (), *, has_baseline: bool = True
) -> CriterionResult:
    """The verdict on one criterion. `slices`: (slice, value, figure at `slice_confidence`) of every value that occurs.

    `has_baseline` False: no release was ever accepted, so there is nothing that this one could be worse than.
    """
    if criterion.comparison is Comparison.NOT_WORSE and not has_baseline:
        if criterion.without_baseline == "skip":
            return CriterionResult(criterion, figure, Verdict.PASS, "not applied: no release was accepted yet", False)
        return CriterionResult(criterion, figure, Verdict.NO_DATA, "there is no accepted release to compare with")
    verdict = interval_verdict(figure, criterion.comparison, criterion.line, criterion.min_n)
    judged = tuple(
        SliceVerdict(name, value, found, interval_verdict(found, criterion.comparison, criterion.line, least))
        for name, value, found in slices
        for least in (criterion.min_slice_n,)
    )
    reason = _reason(criterion, figure, verdict)
    failing = [f"{item.slice} = {item.value}" for item in judged if item.verdict is Verdict.FAIL]
    if failing and verdict is not Verdict.FAIL:
        verdict, reason = Verdict.FAIL, f"{reason}; but it fails for {', '.join(failing)}"
    elif failing:
        reason = f"{reason}; worst in {', '.join(failing)}"
    return CriterionResult(criterion, figure, verdict, reason, True, judged)


def overall(results: Iterable[CriterionResult]) -> Verdict:
    """The worst verdict of those that apply; NO_DATA when none does: an evaluation of nothing passes nothing."""
    return max((result.verdict for result in results if result.applied), default=Verdict.NO_DATA)


def _reason(criterion: Criterion, figure: Figure, verdict: Verdict) -> str:
    if verdict is Verdict.NO_DATA:
        if not figure.n and criterion.comparison is Comparison.NOT_WORSE:
            return "the accepted release has no run on the same rows with the same seed: evaluate it there first"
        if not figure.n:
            return f"nothing was measured: there are no {EVALUATION_METRICS[criterion.metric].of} in it"
        if not figure.measured:
            return f"{figure.n} units give no interval"
        return f"{figure.n} units, at least {criterion.min_n} are needed"
    if verdict is Verdict.ERROR:
        return "the figure is not a number"
    words = {
        Comparison.AT_MOST: f"at most {_number(criterion.line)}",
        Comparison.AT_LEAST: f"at least {_number(criterion.line)}",
        Comparison.NOT_WORSE: f"not worse by more than {_number(-criterion.line)}",
    }
    where = {
        Verdict.PASS: "within",
        Verdict.FAIL: "beyond",
        Verdict.INCONCLUSIVE: "across the line; more rows would tell:",
    }
    ends = f"[{_number(figure.low)}, {_number(figure.high)}]"
    needed = _least_rows(criterion, figure) if verdict is Verdict.INCONCLUSIVE else 0
    hint = f" (with fewer than {needed:,} no share can be shown to keep it)" if figure.n < needed else ""
    return f"{_number(figure.estimate)} {ends} is {where[verdict]} {words[criterion.comparison]}{hint}"


def _least_rows(criterion: Criterion, figure: Figure) -> int:
    """Rows that an exact interval needs to lie within a line even if every one of them is good; 0 for other figures."""
    room = criterion.line if criterion.comparison is Comparison.AT_MOST else 1.0 - criterion.line
    if figure.method != "Clopper-Pearson" or criterion.comparison is Comparison.NOT_WORSE or not 0.0 < room < 1.0:
        return 0
    return ceil(log((1.0 - criterion.confidence) / 2.0) / log1p(-room))


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4g}" if isfinite(value) else "infinite"
