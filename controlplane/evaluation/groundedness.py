"""Measures the groundedness detector on answers that people labelled, and corrects the hallucination rate it would report.

Words: *positive* is an ungrounded answer. Sensitivity = flagged share of the ungrounded, specificity = passed share of the grounded, prevalence =
ungrounded share of the labelled rows, reported rate = flagged share.

Which labels count as grounded is the file's business, and it matters: in BEGIN, "Generic" answers (chit-chat that claims nothing checkable) are not
attributable to the passage, so they count as not grounded by default; `ignored_labels` leaves them out instead.

The correction needs two samples. Rows without a label are the stream whose rate is wanted, labelled rows the validation sample. Where every row has
a label, contexts are split in two halves by a hash: sensitivity and specificity come from one, the rate is reported and corrected on the other,
where the labels then show how close it came.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from controlplane.assistant.groundedness import UNGROUNDED, Groundedness, score
from controlplane.assistant.groundedness import calibration as shipped
from controlplane.assistant.groundedness_calibration import Calibration
from controlplane.assistant.groundedness_features import passage_of
from controlplane.core.acceptance import Figure
from controlplane.core.estimates import clopper_pearson
from controlplane.evaluation.corrected_rate import Share, rogan_gladen
from controlplane.evaluation.discrimination import auroc, brier, expected_calibration_error
from controlplane.evaluation.groundedness_fit import context_keys
from controlplane.evaluation.labelled_answers import LabelledAnswers

LEVEL = 0.95


def judge_answers(data: LabelledAnswers, calibration: Calibration) -> list[Groundedness]:
    """The detector's verdict on every row."""
    return [
        score(answer, (passage_of(context),), calibration)
        for context, answer in zip(data.contexts, data.answers, strict=True)
    ]


def measure(data: LabelledAnswers, calibration: Calibration | None = None) -> dict[str, Any]:
    """All figures as JSON types, as the command prints them; None where the data cannot carry one. Shipped calibration unless one is given."""
    calibration = calibration or shipped()
    verdicts = judge_answers(data, calibration)
    known = [label is not None for label in data.grounded]
    labelled = data.labelled
    grounded = np.array(labelled.grounded, dtype=bool)
    probability = np.array(
        [verdict.probability for verdict, kept in zip(verdicts, known, strict=True) if kept], dtype=float
    )
    flagged = np.array([verdict.label == UNGROUNDED for verdict in verdicts], dtype=bool)
    seen = flagged[np.array(known)]
    area = auroc(grounded, probability, context_keys(labelled), LEVEL) if len(labelled) else None
    sensitivity = Share(int(seen[~grounded].sum()), int((~grounded).sum()))
    specificity = Share(int((~seen[grounded]).sum()), int(grounded.sum()))
    return {
        "auroc": _rounded(area.value if area else None),
        "auroc_interval": [_rounded(area.low), _rounded(area.high)] if area and area.low is not None else None,
        "auroc_interval_method": "Obuchowski 1997 (DeLong for clusters), rows of one context are one cluster, 95 %",
        "n": len(data),
        "labelled": len(labelled),
        "contexts": len(set(context_keys(data))),
        "prevalence": _rounded(float(1 - grounded.mean())) if len(labelled) else None,
        "ece": _rounded(expected_calibration_error(grounded, probability)) if len(labelled) else None,
        "brier": _rounded(brier(grounded, probability)) if len(labelled) else None,
        "threshold": calibration.threshold,
        "sensitivity": _rounded(sensitivity.value),
        "sensitivity_interval": _exact(sensitivity),
        "specificity": _rounded(specificity.value),
        "specificity_interval": _exact(specificity),
        **_rates(data, flagged.tolist()),
        "detector": calibration.name,
        "calibration_sha256": calibration.sha256,
    }


def corrector(sensitivity: Share, specificity: Share) -> Callable[[int, int, float], Figure]:
    """A function (flagged, judged, confidence) -> corrected rate as a `Figure`; without an estimate where none is possible."""

    def correct(flagged: int, judged: int, confidence: float) -> Figure:
        found = rogan_gladen(Share(flagged, judged), sensitivity, specificity, confidence)
        return Figure(
            judged,
            found.rate,
            found.low,
            found.high,
            found.method if not found.unknown else f"unknown: {found.unknown}",
        )

    return correct


def _rates(data: LabelledAnswers, flagged: Sequence[bool]) -> dict[str, Any]:
    """The reported rate of the stream and its correction by the validation sample."""
    in_stream = [label is None for label in data.grounded]
    split = not any(in_stream)
    if split:
        in_stream = [_half(key) for key in context_keys(data)]
    stream = [flag for flag, inside in zip(flagged, in_stream, strict=True) if inside]
    audited = [
        (bool(flag), label) for flag, label, inside in zip(flagged, data.grounded, in_stream, strict=True) if not inside
    ]
    sensitivity = Share(sum(flag for flag, label in audited if not label), sum(not label for _, label in audited))
    specificity = Share(sum(not flag for flag, label in audited if label), sum(bool(label) for _, label in audited))
    corrected = rogan_gladen(Share(int(sum(stream)), len(stream)), sensitivity, specificity, LEVEL)
    labels = [label for label, inside in zip(data.grounded, in_stream, strict=True) if inside and label is not None]
    return {
        "hallucination_rate_reported": _rounded(sum(stream) / len(stream)) if stream else None,
        "hallucination_rate_corrected": _rounded(corrected.rate),
        "interval": [_rounded(corrected.low), _rounded(corrected.high)] if corrected.rate is not None else None,
        "interval_method": corrected.method,
        "corrected_unknown": corrected.unknown or None,
        "hallucination_rate_human": _rounded(1 - sum(labels) / len(labels)) if labels else None,
        "rate_rows": len(stream),
        "validation_rows": len(audited),
        "rate_sample": "half of the contexts, by hash" if split else "the rows without a label",
    }


def _half(key: str) -> bool:
    return hashlib.blake2b(key.encode(), digest_size=1).digest()[0] < 128


def _exact(share: Share) -> list[float | None] | None:
    found = clopper_pearson(share.hits, share.rows, 1 - LEVEL)
    if found is None:
        return None
    return [_rounded(found.low), _rounded(found.high)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
