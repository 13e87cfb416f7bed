"""What an intent classifier is worth on labelled texts it was not trained on.

Rules
- Thresholds (automation at 98 %, sensitive sum, scope) come from held-out training rows; test rows only measure.
- Rows of the out-of-scope label count in the out-of-scope figures and nowhere else; a figure without rows is None.
- Every text is classified alone and timed alone, as a customer's message would be.
- `ece_raw` is of softmax over the unweighted raw scores, `ece` of the calibrated probabilities: 15 bins of equal width.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant import intent
from controlplane.assistant.intent_calibration import OUT_OF_SCOPE, SCOPE_KEPT, Calibration, softmax
from controlplane.assistant.intent_model import IntentModel, text_hash
from controlplane.assistant.training_data import Example
from controlplane.core.estimates import wilson
from controlplane.evaluation.discrimination import auroc, expected_calibration_error
from controlplane.evaluation.labelled_files import LabelledRow

SENSITIVE_MASS = 0.05
SMALLEST_MASS = 0.01
OVER_ROUTING = 0.03
WARM_UP = 20
RELIABILITY_BINS = 15
NO_KNOWN_INTENT = "the test file has no row of a known intent: give one that does"

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class IntentEvaluationError(ValueError):
    """The rows do not allow the evaluation; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the classifier said of the test rows: one entry a row, in order; `truth` is a label position or -1."""

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: Floats
    raw_confidence: Floats
    in_scope: Floats
    sensitive_mass: Floats
    sensitive: Flags
    milliseconds: Floats
    raw_predicted: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def inside(self) -> Flags:
        """Rows of a known intent."""
        return np.asarray(self.truth != OUT_OF_SCOPE)

    @property
    def right(self) -> Flags:
        """Rows whose intent was found."""
        return np.asarray(self.predicted == self.truth)


def examples_of(rows: Sequence[LabelledRow]) -> tuple[Example, ...]:
    """Training examples; equal texts are one group, so that no split separates them."""
    groups: dict[int, int] = {}
    return tuple(Example(row.text, row.label, groups.setdefault(text_hash(row.text), len(groups))) for row in rows)


def sensitive_threshold(trained: intent.Trained, sensitive: Collection[str]) -> float:
    """The sum of probabilities over sensitive intents that routes to a person, chosen on held-out training rows.

    Low enough to find every sensitive row, but not so low that more than 3 % of the other rows are routed; within [.01, .05].
    """
    _check_sensitive(trained.model.labels, sensitive)
    places = [place for place, label in enumerate(trained.model.labels) if label in sensitive]
    mass = trained.model.calibration.probabilities(trained.scores)[:, places].sum(axis=1)
    own = np.isin(trained.truth, places)
    others = mass[~own & (trained.truth != OUT_OF_SCOPE)]
    needed = float(mass[own].min()) if own.any() else SENSITIVE_MASS
    affordable = float(np.quantile(others, 1 - OVER_ROUTING)) if len(others) else 0.0
    return min(max(needed, affordable, SMALLEST_MASS), SENSITIVE_MASS)


def measure(
    model: IntentModel,
    rows: Sequence[LabelledRow],
    oos_label: str | None = None,
    sensitive: Collection[str] = (),
    tick: Callable[[int], object] = lambda more: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Classifies each row alone. A label that is neither known nor `oos_label` is an `IntentEvaluationError`."""
    place = {label: position for position, label in enumerate(model.labels)}
    check_labels(model.labels, {row.label for row in rows}, oos_label, sensitive)
    sums = [place[label] for label in sorted(sensitive)]
    raw = Calibration(1.0, 1.0)
    for row in rows[:WARM_UP]:
        model.predict(row.text)
    found: list[tuple[float, ...]] = []
    for row in rows:
        begin = clock()
        scores = model.scores((row.text,))
        prediction = model.judged(scores)
        spent = clock() - begin
        plain = softmax(raw.logits(scores))[0]
        values = np.fromiter(prediction.probabilities.values(), np.float64)
        found.append(
            (
                place.get(row.label, OUT_OF_SCOPE),
                place[prediction.label],
                prediction.confidence,
                float(plain.max()),
                prediction.in_scope,
                float(values[sums].sum()),
                spent * 1000,
                int(plain.argmax()),
            )
        )
        tick(1)
    columns = np.array(found, dtype=np.float64).T
    truth = columns[0].astype(np.int64)
    return Measured(
        truth=truth,
        predicted=columns[1].astype(np.int64),
        confidence=columns[2],
        raw_confidence=columns[3],
        in_scope=columns[4],
        sensitive_mass=columns[5],
        sensitive=np.isin(truth, sums),
        milliseconds=columns[6],
        raw_predicted=columns[7].astype(np.int64),
    )


def check_labels(
    known: Collection[str], tested: Collection[str], oos_label: str | None, sensitive: Collection[str]
) -> None:
    """Raises `IntentEvaluationError` for a tested or sensitive label that is not `known`, or a test of none; asked before a long training too."""
    unknown = sorted(set(tested) - set(known) - {oos_label})
    if unknown:
        raise IntentEvaluationError(
            f"test labels that training lacks: {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}: "
            "add training rows, or name the label of out-of-scope rows with --oos-label"
        )
    if not set(tested) & set(known):
        raise IntentEvaluationError(NO_KNOWN_INTENT)
    _check_sensitive(known, sensitive)


def _check_sensitive(known: Collection[str], sensitive: Collection[str]) -> None:
    unknown = sorted(set(sensitive) - set(known))
    if unknown:
        raise IntentEvaluationError(f"--sensitive {', '.join(unknown)}: no such label; there are {', '.join(known)}")


def figures(measured: Measured, automation: float, mass: float | None) -> dict[str, Any]:
    """All figures of one test; `automation` and `mass` are thresholds chosen before. Keys are the command's."""
    inside = measured.inside
    if not inside.any():
        raise IntentEvaluationError(NO_KNOWN_INTENT)
    right, confidence = measured.right[inside], measured.confidence[inside]
    raw_right = (measured.raw_predicted == measured.truth)[inside]
    above = confidence >= automation
    value = {
        "accuracy": float(right.mean()),
        "ece_raw": expected_calibration_error(raw_right, measured.raw_confidence[inside]),
        "ece": expected_calibration_error(right, confidence),
        **_scope(measured),
        **_routing(measured, mass),
        "coverage_at_98": float(above.mean()),
        "accuracy_above_threshold": float(right[above].mean()) if above.any() else None,
        "p50_ms": float(np.quantile(measured.milliseconds, 0.5)),
        "p95_ms": float(np.quantile(measured.milliseconds, 0.95)),
    }
    return value | {
        "n": int(inside.sum()),
        "n_oos": int((~inside).sum()),
        "n_sensitive": int(measured.sensitive.sum()),
        "thresholds": {"automation": automation, "sensitive_mass": mass},
        "intervals": _intervals(measured, automation, mass),
        "reliability": reliability(right, confidence),
    }


def reliability(right: Flags, confidence: Floats, bins: int = RELIABILITY_BINS) -> list[dict[str, float]]:
    """The reliability curve: per bin of equal width its rows, mean confidence and accuracy; empty bins are left out."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        {
            "n": int((place == number).sum()),
            "confidence": float(confidence[place == number].mean()),
            "accuracy": float(right[place == number].mean()),
        }
        for number in np.unique(place).tolist()
    ]


def _scope(measured: Measured) -> dict[str, Any]:
    inside = measured.inside
    area = auroc(inside, measured.in_scope)
    if area is None:
        return {"oos_auroc": None, "oos_rejected_at_95": None}
    line = np.quantile(measured.in_scope[inside], 1 - SCOPE_KEPT)
    return {"oos_auroc": area.value, "oos_rejected_at_95": float((measured.in_scope[~inside] < line).mean())}


def _routing(measured: Measured, mass: float | None) -> dict[str, Any]:
    harmless = measured.inside & ~measured.sensitive
    if mass is None or not measured.sensitive.any():
        return {"sensitive_recall": None, "over_routing": None}
    routed = measured.sensitive_mass >= mass
    return {
        "sensitive_recall": float(routed[measured.sensitive].mean()),
        "over_routing": float(routed[harmless].mean()) if harmless.any() else None,
    }


def _intervals(measured: Measured, automation: float, mass: float | None) -> dict[str, list[float]]:
    """95 % Wilson intervals of the shares, and the AUROC's (DeLong)."""
    inside = measured.inside
    above = inside & (measured.confidence >= automation)
    shares = {
        "accuracy": measured.right[inside],
        "coverage_at_98": above[inside],
        "accuracy_above_threshold": measured.right[above],
    }
    if mass is not None and measured.sensitive.any():
        routed = measured.sensitive_mass >= mass
        shares["sensitive_recall"] = routed[measured.sensitive]
        shares["over_routing"] = routed[inside & ~measured.sensitive]
    found = {}
    for name, flags in shares.items():
        interval = wilson(float(flags.sum()), float(len(flags)))
        if interval is not None:
            found[name] = [interval.low, interval.high]
    area = auroc(inside, measured.in_scope)
    if area is not None and area.low is not None and area.high is not None:
        found["oos_auroc"] = [area.low, area.high]
    return found
