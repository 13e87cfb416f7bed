"""A new calibration for a trained classifier, refused when it would make the probabilities worse.

Rules
- Rows whose text the classifier was trained on are left out: it is too sure of them.
- The new rows are split in folds; each is judged by a calibration fitted to the others, so the likelihood is a held-out one.
- Refused when that likelihood is worse than the old calibration's on the same rows, or when the likelihood of the held-out
  training rows stored with the model falls by more than 0.05 a row (wrong labels fit themselves well, but not those).
- The result is a new artefact with the same weights; the old one stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from controlplane.assistant import intent_calibration
from controlplane.assistant.intent import automation_threshold
from controlplane.assistant.intent_calibration import OUT_OF_SCOPE, Calibration, Floats, Labels, Scores, log_loss
from controlplane.assistant.intent_model import IntentModel, text_hash
from controlplane.assistant.intent_store import sealed
from controlplane.assistant.training_data import Example, rows_sha256

FOLDS = 5
LEAST_ROWS = 100
TOLERATED_LOSS = 0.05


class RecalibrationRefused(Exception):
    """The new calibration is worse on validation rows; the message has both figures."""


class RecalibrationError(ValueError):
    """The rows do not allow a recalibration; the message says why."""


@dataclass(frozen=True, slots=True)
class Recalibration:
    """The new artefact and its figures: mean log loss a row, before and after, on new and on stored held-out rows."""

    model: IntentModel
    rows: int
    trained_on: int
    loss_before: float
    loss_after: float
    stored_loss_before: float | None
    stored_loss_after: float | None


def recalibrate(model: IntentModel, examples: Sequence[Example], scores: Scores) -> Recalibration:
    """Fits a calibration to the model's raw `scores` of labelled `examples` (same order)."""
    place = {label: position for position, label in enumerate(model.labels)}
    unknown = sorted({example.label for example in examples} - set(place) - {model.oos_label})
    if unknown:
        raise RecalibrationError(f"labels the model does not know: {', '.join(unknown[:5])}: train it with them first")
    truth = np.array([place.get(example.label, OUT_OF_SCOPE) for example in examples], np.int64)
    new = ~np.isin(np.array([text_hash(example.text) for example in examples], np.uint64), model.seen)
    trained_on = int((~new).sum())
    if int((new & (truth != OUT_OF_SCOPE)).sum()) < LEAST_ROWS:
        raise RecalibrationError(
            f"recalibration needs {LEAST_ROWS} rows of known labels that the model was not trained on, got "
            f"{int((new & (truth != OUT_OF_SCOPE)).sum())} ({trained_on} rows were trained on): give newer rows"
        )
    kept = [example for example, fresh in zip(examples, new, strict=True) if fresh]
    own, labels = scores.rows(new), truth[new]
    before, after = _held_out(model.calibration, own, labels, np.array([e.group for e in kept]) % FOLDS)
    fitted = _fit(model.calibration, own, labels, rows_sha256(kept))
    stored_before, stored_after = _stored(model, model.calibration), _stored(model, fitted)
    figures = f"held-out log loss {before:.4f} -> {after:.4f} a row"
    if after > before:
        raise RecalibrationRefused(f"recalibration refused, it gets worse: {figures}; the old artefact stays")
    if stored_before is not None and stored_after is not None and stored_after > stored_before + TOLERATED_LOSS:
        raise RecalibrationRefused(
            f"recalibration refused: {figures} on the new rows, but {stored_before:.4f} -> {stored_after:.4f} on the rows the "
            "model was validated with: check the new labels; if the world has changed, train again"
        )
    inside = labels != OUT_OF_SCOPE
    threshold = automation_threshold(fitted.probabilities(own.rows(inside)), labels[inside])
    made = replace(
        model,
        calibration=fitted,
        automation_threshold=threshold,
        training=replace(model.training, parent=model.digest),
    )
    return Recalibration(sealed(made), len(kept), trained_on, before, after, stored_before, stored_after)


def _fit(old: Calibration, scores: Scores, truth: Labels, data: str = "") -> Calibration:
    """The same kind of calibration, new numbers; a scope score fitted to out-of-scope rows is kept where there are none."""
    found = intent_calibration.fit(scores, truth, data, beta=True, scope=bool(old.scope))
    if old.scope_fitted_to_oos and not found.scope_fitted_to_oos:
        return replace(
            found,
            scope=old.scope,
            scope_bias=old.scope_bias,
            scope_threshold=old.scope_threshold,
            scope_fitted_to_oos=True,
        )
    return found


def _held_out(old: Calibration, scores: Scores, truth: Labels, folds: Labels) -> tuple[float, float]:
    """Log loss of the old calibration, and of new ones on rows they were not fitted to."""
    inside = truth != OUT_OF_SCOPE
    probabilities: Floats = np.zeros_like(scores.margins)
    for fold in np.unique(folds):
        rest, part = folds != fold, folds == fold
        probabilities[part] = _fit(old, scores.rows(rest), truth[rest]).probabilities(scores.rows(part))
    before = log_loss(old.probabilities(scores.rows(inside)), truth[inside])
    return before, log_loss(probabilities[inside], truth[inside])


def _stored(model: IntentModel, calibration: Calibration) -> float | None:
    if model.validation is None:
        return None
    return log_loss(calibration.probabilities(model.validation.scores), model.validation.truth)
