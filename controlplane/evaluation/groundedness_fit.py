"""Fits the calibration of the groundedness score on answers that people labelled, and measures it on answers it did not see.

Rules
- Penalised logistic regression on the defects with every weight <= 0: a defect can only count against an answer.
- Three defects are *decisive* whatever the labels say: a number or a name that the passages lack, or a "not" that only one of both has, makes
  an answer ungrounded however flawless the rest is. Chit-chat annotators forgive a wrong year; a bank cannot. The figures include this rule.
- All figures come from rows in folds that were not fitted, folds being made of whole contexts, so that no passage is on both sides. The whole
  procedure, decisive rule and rescaling included, is repeated inside each fold.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from controlplane.assistant.groundedness_calibration import DECISIVE_CEILING, FORMAT, Calibration, digest
from controlplane.assistant.groundedness_features import (
    DEFECTS,
    EXTRACTOR,
    answer_defects,
    evidence_of,
    fingerprint,
    passage_of,
    vector,
)
from controlplane.assistant.text import normalise
from controlplane.evaluation.discrimination import (
    BoolArray,
    FloatArray,
    auroc,
    brier,
    expected_calibration_error,
    log_loss,
)
from controlplane.evaluation.labelled_answers import LabelledAnswers

VERSION = "groundedness-2"
PENALTY = (
    0.06  # of the squared weights of standardised defects, relative to the mean log loss; flat between .03 and .15
)
FOLDS, REPETITIONS, SEED = 10, 5, 20
THRESHOLD = 0.5
DECISIVE = ("negation", "numbers", "names")
MIN_ROWS, MIN_CONTEXTS = 60, 20


@dataclass(frozen=True, slots=True)
class Fitted:
    """Log-odds of grounded = intercept + vector @ weights, kept below the threshold by a decisive defect."""

    intercept: float
    weights: FloatArray

    def logits(self, vectors: FloatArray) -> FloatArray:
        """Shape (n,) from vectors of shape (n, defects), decisive rule left out."""
        found: FloatArray = self.intercept + vectors @ self.weights
        return found

    def probability(self, vectors: FloatArray) -> FloatArray:
        """Shape (n,); the same number as `Calibration.probability` of each row."""
        plain = 1 / (1 + np.exp(-np.clip(self.logits(vectors), -700, 700)))
        decided = (vectors[:, np.isin(DEFECTS, DECISIVE)] > 0).any(axis=1)
        return np.where(decided, np.minimum(plain, DECISIVE_CEILING * THRESHOLD), plain)


def fit(vectors: FloatArray, grounded: BoolArray, contexts: Sequence[str], source: dict[str, Any]) -> dict[str, Any]:
    """The content of a calibration file, hash included. `vectors` has shape (n, defects), in the order of `DEFECTS`.

    `source` says where the labels come from and is stored as it is. Raises ValueError where there is too little to fit.
    """
    if len(grounded) < MIN_ROWS or len(set(contexts)) < MIN_CONTEXTS or not 0 < grounded.mean() < 1:
        raise ValueError(
            f"a calibration needs {MIN_ROWS} labelled answers of both classes on {MIN_CONTEXTS} contexts or more; here are {len(grounded)} "
            f"({int(grounded.sum())} grounded) on {len(set(contexts))}"
        )
    held_out = [held_out_probability(vectors, grounded, contexts, SEED + number) for number in range(REPETITIONS)]
    final = _calibrated(vectors, grounded, contexts, SEED)
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "extractor": EXTRACTOR,
        "fingerprint": fingerprint(),
        "threshold": THRESHOLD,
        "intercept": round(final.intercept, 6),
        "weights": {name: min(round(float(w), 6), 0.0) for name, w in zip(DEFECTS, final.weights, strict=True)},
        "decisive": list(DECISIVE),
        "source": source,
        "procedure": {
            "model": "logistic regression on defects, weights <= 0, ridge penalty, rescaled on held-out folds",
            "penalty": PENALTY,
            "validation": f"{REPETITIONS} times {FOLDS} folds of whole contexts",
        },
        "metrics": _metrics(grounded, held_out, contexts),
    }
    return {**content, "sha256": digest(content)}


def vectors(data: LabelledAnswers) -> FloatArray:
    """Defects of every row, shape (n, defects): what a calibration is fitted on."""
    rows = zip(data.contexts, data.answers, strict=True)
    return np.array([vector(answer_defects(answer, evidence_of((passage_of(context),)))) for context, answer in rows])


def log_loss_of(calibration: Calibration, found: FloatArray, grounded: BoolArray) -> float:
    """What another calibration reaches on the same rows, to compare a new one's held-out figure with."""
    return log_loss(grounded, np.array([calibration.probability(tuple(row)) for row in found.tolist()]))


def context_keys(data: LabelledAnswers) -> list[str]:
    """What makes two rows one cluster: the same context, whatever its case and spacing."""
    return [normalise(context) for context in data.contexts]


def fit_weights(vectors: FloatArray, grounded: FloatArray | BoolArray, penalty: float = PENALTY) -> Fitted:
    """Ridge-penalised logistic regression with weights <= 0 (L-BFGS-B); the intercept is free. `grounded` may be a share in [0, 1]."""
    scale = np.where(vectors.std(axis=0) > 0, vectors.std(axis=0), 1.0)
    standard, target = vectors / scale, np.asarray(grounded, dtype=float)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights = parameters[1:]
        logits = parameters[0] + standard @ weights
        slope = (1 / (1 + np.exp(-np.clip(logits, -700, 700))) - target) / len(target)
        value = float((np.logaddexp(0, logits) - target * logits).mean() + penalty / 2 * weights @ weights)
        return value, np.concatenate([[slope.sum()], standard.T @ slope + penalty * weights])

    bounds = [(None, None)] + [(None, 0.0)] * vectors.shape[1]
    found = minimize(loss, np.zeros(vectors.shape[1] + 1), jac=True, bounds=bounds, method="L-BFGS-B").x
    return Fitted(float(found[0]), found[1:] / scale)


def _calibrated(vectors: FloatArray, grounded: BoolArray, contexts: Sequence[str], seed: int) -> Fitted:
    """Weights from all rows, rescaled by the log-odds that rows get when they are not fitted.

    Platt (1999), with his smoothed targets: where the rows can be told apart without an error, plain ones would make the scale infinite.
    """
    logits = np.empty(len(grounded))
    for inside in _folds(contexts, seed):
        logits[inside] = fit_weights(vectors[~inside], grounded[~inside]).logits(vectors[inside])
    fitted = fit_weights(vectors, grounded)
    good = int(grounded.sum())
    target = np.where(grounded, (good + 1) / (good + 2), 1 / (len(grounded) - good + 2))
    rescaled = fit_weights(-logits[:, None], target, penalty=0.0)
    slope = -float(rescaled.weights[0])
    return Fitted(slope * fitted.intercept + rescaled.intercept, slope * fitted.weights)


def held_out_probability(vectors: FloatArray, grounded: BoolArray, contexts: Sequence[str], seed: int) -> FloatArray:
    """Probabilities of every row from a procedure that saw none of its context."""
    probability = np.empty(len(grounded))
    names = np.asarray(contexts, dtype=object)
    for inside in _folds(contexts, seed):
        fitted = _calibrated(vectors[~inside], grounded[~inside], list(names[~inside]), seed)
        probability[inside] = fitted.probability(vectors[inside])
    return probability


def _folds(contexts: Sequence[str], seed: int) -> list[BoolArray]:
    """Masks of the rows held out together; a context is in exactly one of them."""
    unique = sorted(set(contexts))
    random.Random(seed).shuffle(unique)
    fold = {name: place % FOLDS for place, name in enumerate(unique)}
    member = np.array([fold[name] for name in contexts])
    return [member == place for place in range(FOLDS) if (member == place).any()]


def _metrics(grounded: BoolArray, held_out: Sequence[FloatArray], contexts: Sequence[str]) -> dict[str, Any]:
    """Means over the repetitions; the interval is that of the first one, contexts as clusters."""
    areas = [found.value for p in held_out if (found := auroc(grounded, p, contexts)) is not None]
    first = auroc(grounded, held_out[0], contexts)
    sensitivity = [float((p[~grounded] < THRESHOLD).mean()) for p in held_out]
    specificity = [float((p[grounded] >= THRESHOLD).mean()) for p in held_out]
    return {
        "rows": len(grounded),
        "contexts": len(set(contexts)),
        "prevalence": round(float(1 - grounded.mean()), 4),
        "auroc": round(float(np.mean(areas)), 4),
        "auroc_low": round(first.low, 4) if first and first.low is not None else None,
        "auroc_high": round(first.high, 4) if first and first.high is not None else None,
        "ece": round(float(np.mean([expected_calibration_error(grounded, p) for p in held_out])), 4),
        "brier": round(float(np.mean([brier(grounded, p) for p in held_out])), 4),
        "log_loss": round(float(np.mean([log_loss(grounded, p) for p in held_out])), 4),
        "sensitivity": round(float(np.mean(sensitivity)), 4),
        "specificity": round(float(np.mean(specificity)), 4),
    }
