"""From outcomes to a judged result: every criterion with its figure and slices, every metric, the comparison, as plain values.

What this returns is what is stored, hashed, printed as JSON and drawn as HTML. It holds figures and ids of rows, and no text of a customer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from controlplane.core.acceptance import (
    EVALUATION_METRICS,
    Comparison,
    Criteria,
    Criterion,
    CriterionResult,
    Figure,
    judge_criterion,
    overall,
    slice_confidence,
)
from controlplane.core.model import Verdict
from controlplane.evaluation import measures
from controlplane.evaluation.compare import PairedDifference
from controlplane.evaluation.runner import Outcome

CONFIDENCE = 0.95
SLICES_SHOWN = ("topic", "origin", "segment", "channel", "region", "source")
SLICE_METRICS = (
    *("intent_accuracy", "resolution_rate", "hallucination_rate", "misrouting_rate", "over_routing_rate"),
    *("out_of_scope_rejected", "escalation_rate"),
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last accepted release on the same rows."""

    run_id: str
    release: str
    outcomes: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict and everything behind it."""

    verdict: Verdict
    results: tuple[CriterionResult, ...]
    value: dict[str, Any]


def judge(
    criteria: Criteria,
    outcomes: Sequence[Outcome],
    baseline: Baseline | None,
    seed: int,
    *,
    accepted_before: bool = False,
    correct: measures.Correct | None = None,
    shown: Baseline | None = None,
) -> Judged:
    """Judge outcomes by criteria. `accepted_before`: whether any release was accepted, so that a missing baseline is missing data.

    `shown` takes the baseline's place in the comparison that people read, never in a criterion: whoever could choose what a release is
    compared with could choose a bad one.
    """
    has_baseline = baseline is not None or accepted_before
    results = tuple(_judge(item, outcomes, baseline, seed, has_baseline, correct) for item in criteria.criteria)
    verdict = overall(results)
    compared = shown or baseline
    value: dict[str, Any] = {
        "verdict": verdict.name,
        "rows": len(outcomes),
        "criteria": [result_json(result) for result in results],
        "figures": {
            name: figure_json(found) for name, found in measures.figures(outcomes, CONFIDENCE, seed, correct).items()
        },
        "slices": _slices(outcomes, seed),
        "reliability": [asdict(item) for item in measures.reliability(outcomes)],
        "comparison": None if compared is None else _comparison(outcomes, compared, seed),
        "wrong": [{"id": outcome.id, "why": list(outcome.wrong)} for outcome in outcomes if outcome.wrong],
    }
    return Judged(verdict, results, value)


def _judge(
    item: Criterion,
    outcomes: Sequence[Outcome],
    baseline: Baseline | None,
    seed: int,
    has_baseline: bool,
    correct: measures.Correct | None,
) -> CriterionResult:
    def figure(part: Sequence[Outcome], confidence: float) -> Figure:
        if item.comparison is not Comparison.NOT_WORSE:
            return measures.figure(item.metric, part, confidence, seed, correct)
        if baseline is None:
            return Figure(0)
        return measures.paired(item.metric, part, baseline.outcomes, confidence, seed).figure

    groups = [
        (name, value, part) for name in item.slices for value, part in measures.slice_values(outcomes, name).items()
    ]
    confidence = slice_confidence(item, len(groups))
    slices = [(name, value, figure(part, confidence)) for name, value, part in groups]
    return judge_criterion(item, figure(outcomes, item.confidence), slices, has_baseline=has_baseline)


def result_json(result: CriterionResult) -> dict[str, Any]:
    """A judged criterion as plain values."""
    item = result.criterion
    return {
        "name": item.label,
        "metric": item.metric,
        "unit": EVALUATION_METRICS[item.metric].unit,
        "comparison": str(item.comparison),
        "line": item.line,
        "confidence": item.confidence,
        "min_n": item.min_n,
        **figure_json(result.figure),
        "verdict": result.verdict.name,
        "reason": result.reason,
        "applied": result.applied,
        "slices": [
            {"slice": s.slice, "value": s.value, **figure_json(s.figure), "verdict": s.verdict.name}
            for s in result.slices
        ],
    }


def figure_json(found: Figure) -> dict[str, Any]:
    """A figure as plain values, six significant digits: enough for people, and the same on any machine."""
    numbers = {name: _rounded(getattr(found, name)) for name in ("estimate", "low", "high")}
    return {"n": found.n, **numbers, "method": found.method}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _slices(outcomes: Sequence[Outcome], seed: int) -> dict[str, dict[str, dict[str, Any]]]:
    shown: dict[str, dict[str, dict[str, Any]]] = {}
    for name in SLICES_SHOWN:
        groups = measures.slice_values(outcomes, name)
        if len(groups) < 2:
            continue  # one value says no more than the whole
        shown[name] = {value: _slice(part, seed) for value, part in groups.items()}
    return shown


def _slice(part: Sequence[Outcome], seed: int) -> dict[str, Any]:
    found = {metric: measures.figure(metric, part, CONFIDENCE, seed) for metric in SLICE_METRICS}
    return {"rows": len(part)} | {name: figure_json(figure) for name, figure in found.items() if figure.n}


def _comparison(outcomes: Sequence[Outcome], baseline: Baseline, seed: int) -> dict[str, Any]:
    known = {outcome.id for outcome in baseline.outcomes}
    metrics: Mapping[str, PairedDifference] = {
        name: measures.paired(name, outcomes, baseline.outcomes, CONFIDENCE, seed)
        for name, metric in EVALUATION_METRICS.items()
        if metric.paired
    }
    return {
        "run": baseline.run_id,
        "release": baseline.release,
        "rows": sum(outcome.id in known for outcome in outcomes),
        "metrics": {
            name: {**figure_json(found.figure), "better": found.better, "worse": found.worse, "p": found.p_value}
            for name, found in metrics.items()
            if found.figure.n
        },
    }
