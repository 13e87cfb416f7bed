"""From outcomes to figures: every metric of the evaluation with its interval, whole and by slice.

- Rates: Clopper-Pearson, exact: the interval decides, so it must keep its confidence for small counts too.
- Quantiles of latency: order statistics at binomial ranks, exact for every distribution; None ends where the data cannot bound them.
- Means: percentile bootstrap. Calibration error: pivotal bootstrap, because the plain estimate is too high in small samples and resampling
  repeats that error.

Units: conversations for rates (turns of one conversation are not independent), turns for latency and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
from scipy import stats

from controlplane.core.acceptance import EVALUATION_METRICS, NOTHING, Figure
from controlplane.core.estimates import clopper_pearson
from controlplane.evaluation.compare import PairedDifference, paired_mean, paired_rate, resamples
from controlplane.evaluation.runner import Outcome

BINS = 15
RESAMPLES = 1000

Correct = Callable[[int, int, float], Figure]  # (flagged, judged, confidence) -> corrected figure
FloatArray = npt.NDArray[np.float64]

# Field of an outcome by metric, and what in it is counted.
_FLAGS: Mapping[str, str] = {
    "intent_accuracy": "intent_correct",
    "resolution_rate": "resolved",
    "hallucination_rate": "hallucinated",
    "toxicity_rate": "toxic",
    "misrouting_rate": "misrouted",
    "over_routing_rate": "over_routed",
    "out_of_scope_rejected": "rejected",
    "cache_wrong_serve": "cache_wrong",
    "escalation_rate": "escalated",
}


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows whose confidence lies in (low, high]: how sure the classifier was, and how often it was right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def figure(
    metric: str, outcomes: Sequence[Outcome], confidence: float, seed: int, correct: Correct | None = None
) -> Figure:
    """One metric over these outcomes. Raises KeyError for a name that is no metric."""
    if metric in _FLAGS:
        return rate(flags(metric, outcomes), confidence)
    match metric:
        case "hallucination_rate_corrected":
            seen = flags("hallucination_rate", outcomes)
            return NOTHING if correct is None or not seen else _fitting(correct(sum(seen), len(seen), confidence))
        case "calibration_error":
            return calibration_error(*calibration_pairs(outcomes), confidence, seed)
        case "error_rate":
            turns = sum(
                max(len(outcome.latencies), outcome.errors) for outcome in outcomes
            )  # no time taken: a turn still
            return _rate(sum(outcome.errors for outcome in outcomes), turns, confidence)
        case "latency_p50" | "latency_p95":
            values = [value for outcome in outcomes for value in outcome.latencies]
            return quantile(values, 0.5 if metric == "latency_p50" else 0.95, confidence)
        case "cost_per_conversation":
            return mean([outcome.cost for outcome in outcomes if outcome.cost is not None], confidence, seed)
    raise KeyError(metric)


def _fitting(found: Figure) -> Figure:
    """A corrected figure, without its interval where that was cut to nothing: its width says no longer how little is known.

    It happens where fewer (or more) answers are flagged than the detector's own error explains: its calibration is of other answers than these.
    """
    if found.low is None or found.high is None or found.low < found.high:
        return found
    return Figure(found.n, found.estimate, None, None, "none: the detector's calibration does not fit these answers")


def figures(
    outcomes: Sequence[Outcome], confidence: float, seed: int, correct: Correct | None = None
) -> dict[str, Figure]:
    """Every metric of the catalogue."""
    return {name: figure(name, outcomes, confidence, seed, correct) for name in EVALUATION_METRICS}


def flags(metric: str, outcomes: Sequence[Outcome]) -> list[bool]:
    """The 0/1 values of a rate, of the rows that ask for it."""
    values = [getattr(outcome, _FLAGS[metric]) for outcome in outcomes]
    return [bool(value) for value in values if value is not None]


def slice_values(outcomes: Sequence[Outcome], name: str) -> dict[str, list[Outcome]]:
    """Outcomes by the value of a slice, sorted by value; rows without one are left out."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        value = outcome.slices.get(name)
        if value:
            groups.setdefault(value, []).append(outcome)
    return dict(sorted(groups.items()))


def paired(
    metric: str, candidate: Sequence[Outcome], baseline: Sequence[Outcome], confidence: float, seed: int
) -> PairedDifference:
    """The metric's difference on the rows that both measured; counted so that more is better."""
    other = {outcome.id: outcome for outcome in baseline}
    rows = [(outcome, other[outcome.id]) for outcome in candidate if outcome.id in other]
    good = EVALUATION_METRICS[metric].better == "higher"
    field = _FLAGS.get(metric, "cost")
    both = [(getattr(a, field), getattr(b, field)) for a, b in rows]
    known = [(a, b) for a, b in both if a is not None and b is not None]
    if metric in _FLAGS:
        return paired_rate([bool(a) for a, _ in known], [bool(b) for _, b in known], good, confidence)
    better = EVALUATION_METRICS[metric].better
    return paired_mean([a for a, _ in known], [b for _, b in known], better, confidence, seed)


def rate(values: Sequence[bool], confidence: float) -> Figure:
    """Share of True with its Clopper-Pearson interval."""
    return _rate(sum(values), len(values), confidence)


def _rate(events: int, n: int, confidence: float) -> Figure:
    found = clopper_pearson(min(events, n), n, 1.0 - confidence)
    if found is None:
        return NOTHING
    return Figure(n, found.estimate, found.low, found.high, "Clopper-Pearson")


def quantile(values: Sequence[float], q: float, confidence: float) -> Figure:
    """The q-quantile with its order-statistics interval; an end is None where there are too few values to bound it."""
    if not values:
        return NOTHING
    ordered = sorted(values)
    n, alpha = len(ordered), 1.0 - confidence
    first = int(stats.binom.ppf(alpha / 2.0, n, q))  # 1-based rank of the lower end; 0 = none
    last = int(stats.binom.isf(alpha / 2.0, n, q)) + 1
    low = ordered[first - 1] if first >= 1 else None
    high = ordered[last - 1] if last <= n else None
    return Figure(n, ordered[max(1, ceil(q * n)) - 1], low, high, "order statistics")


def mean(values: Sequence[float], confidence: float, seed: int) -> Figure:
    """The mean with a percentile bootstrap interval."""
    if len(values) < 2:
        return NOTHING
    array = np.asarray(values, dtype=float)
    again = np.concatenate([array[draws].mean(axis=1) for draws in resamples(len(array), RESAMPLES, seed)])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(again, [tail, 1.0 - tail])
    return Figure(len(array), float(array.mean()), float(low), float(high), "bootstrap")


def calibration_pairs(outcomes: Sequence[Outcome]) -> tuple[FloatArray, FloatArray]:
    """Confidence and correctness (0 or 1) of the labelled rows that were classified."""
    known = [
        (outcome.confidence, float(outcome.intent_correct))
        for outcome in outcomes
        if outcome.confidence is not None and outcome.intent_correct is not None
    ]
    array = np.asarray(known, dtype=float).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def expected_calibration_error(confidence: FloatArray, right: FloatArray, bins: int = BINS) -> float:
    """Sum over equal-width bins of share times |accuracy - confidence| (Naeini et al., AAAI 2015)."""
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.abs(np.bincount(places, weights=right - confidence, minlength=bins))
    return float(gaps.sum() / len(confidence))


def calibration_error(confidence: FloatArray, right: FloatArray, level: float, seed: int) -> Figure:
    """ECE with a pivotal bootstrap interval, cut at 0."""
    n = len(confidence)
    if n < 2:
        return NOTHING
    estimate = expected_calibration_error(confidence, right)
    parts = resamples(n, RESAMPLES, seed)
    again = np.array([expected_calibration_error(confidence[draw], right[draw]) for draws in parts for draw in draws])
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(again, [tail, 1.0 - tail])
    return Figure(n, estimate, max(0.0, 2 * estimate - float(high)), max(0.0, 2 * estimate - float(low)), "bootstrap")


def reliability(outcomes: Sequence[Outcome], bins: int = BINS) -> list[ReliabilityBin]:
    """The reliability curve: bins that hold rows, from unsure to sure."""
    confidence, right = calibration_pairs(outcomes)
    places = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for place in sorted(set(places.tolist())):
        here = places == place
        sure, accurate = float(confidence[here].mean()), float(right[here].mean())
        found.append(ReliabilityBin(place / bins, (place + 1) / bins, int(here.sum()), sure, accurate))
    return found
