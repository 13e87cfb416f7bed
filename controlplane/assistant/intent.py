"""Which of the known intents a text is about. Two tiers, both calibrated on rows that their scorers were not trained on.

Rules
- `default`: TF-IDF of words and characters -> one linear SVM per intent. `embeddings`: the same and a kernel regression on
  sentence embeddings, weighed against each other by log loss.
- Scores become probabilities, and a score for being in scope at all, as `intent_calibration` says. Rows of the out-of-scope
  label are no intent: they teach the kernel regression to stay low and the scope score where to draw the line.
- Rows of one group (variants of one phrasing, equal texts) are never separated by a split.
- scikit-learn and SciPy are needed to train only. Training uses one thread: the same rows, seed and library versions give
  the same bytes.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controlplane.assistant import intent_calibration, intent_kernel
from controlplane.assistant.embedding import Embeddings, Encoder, open_encoder
from controlplane.assistant.intent_calibration import (
    OUT_OF_SCOPE,
    CalibrationError,
    Floats,
    Labels,
    Scores,
    fit_temperature,
    softmax,
)
from controlplane.assistant.intent_features import character_terms, fit_vocabulary, matrix, weigh, word_terms
from controlplane.assistant.intent_kernel import KernelRidge
from controlplane.assistant.intent_model import (
    MAX_CLASSIFIED_CHARACTERS,
    IntentModel,
    Tier,
    Training,
    Validation,
    text_hash,
)
from controlplane.assistant.intent_store import FORMAT, ModelFileError, load, save, sealed
from controlplane.assistant.text import normalise
from controlplane.assistant.training_data import Example, rows_sha256

__all__ = [
    "FORMAT", "CalibrationError", "IntentModel", "ModelFileError", "Recipe", "Trained", "automation_threshold",
    "character_terms", "fit", "fit_temperature", "fit_vocabulary", "load", "save", "softmax", "train", "weigh", "word_terms",
]  # fmt: skip

SVM_COST = 2.0
AUTOMATION_ACCURACY = 0.982  # 98 %, and a margin: held-out training rows are a little easier than new ones
VALIDATION_ROWS = 2_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `oos_label` marks rows of no intent; `beta` and `scope` add those parts of the calibration."""

    tier: Tier = "default"
    oos_label: str | None = None
    folds: int = 5
    beta: bool = True
    scope: bool = True


SHIPPED = Recipe(folds=3, beta=False, scope=False)


@dataclass(frozen=True, slots=True)
class Trained:
    """A classifier, the held-out raw scores of its own training rows, and their label positions (-1 out of scope)."""

    model: IntentModel
    scores: Scores
    truth: Labels


def silent(stage: str, done: int, total: int) -> None:
    """Reports progress to nobody."""


def train(examples: Sequence[Example], seed: int, recipe: Recipe = SHIPPED, progress: Progress = silent) -> IntentModel:
    """Trains and calibrates a classifier. Same examples, recipe, seed and library versions give the same digest."""
    return fit(examples, seed, recipe, progress).model


def fit(examples: Sequence[Example], seed: int, recipe: Recipe, progress: Progress = silent) -> Trained:
    """Trains and calibrates a classifier and keeps the evidence. `progress` hears stage, steps done and steps in all.

    Raises ValueError for fewer than 2 labels, `EmbeddingsMissing` for the tier "embeddings" without its extra.
    """
    labels = tuple(sorted({example.label for example in examples} - {recipe.oos_label}))
    if len(labels) < 2:
        raise ValueError(f"training needs at least 2 different labels, got {len(labels)}: add examples")
    encoder = open_encoder() if recipe.tier == "embeddings" else None
    place = {label: position for position, label in enumerate(labels)}
    truth = np.array([place.get(example.label, OUT_OF_SCOPE) for example in examples])
    folds = np.array([example.group for example in examples]) % recipe.folds
    texts = [normalise(example.text[:MAX_CLASSIFIED_CHARACTERS]) for example in examples]
    with one_thread():
        kernel, outputs = None, None
        if encoder:
            kernel, outputs = _fit_kernel(_embed(encoder, texts, progress), truth, folds, len(labels), seed, progress)
        model, margins = _fit_margins(texts, truth, folds, labels, seed, progress)
        scores = Scores(margins, outputs)
        data = rows_sha256(examples)
        calibration = intent_calibration.fit(scores, truth, data, recipe.beta, recipe.scope)
    inside = np.flatnonzero(truth != OUT_OF_SCOPE)
    kept = np.sort(np.random.default_rng(seed).permutation(inside)[:VALIDATION_ROWS])
    model = replace(
        model,
        calibration=calibration,
        training=Training(data, len(examples), seed),
        kernel=kernel,
        encoder=encoder,
        validation=Validation(scores.rows(kept), truth[kept]),
        seen=np.unique(np.array([text_hash(example.text) for example in examples], np.uint64)),
        automation_threshold=automation_threshold(calibration.probabilities(scores.rows(inside)), truth[inside]),
        oos_label=recipe.oos_label,
    )
    return Trained(sealed(model), scores, truth)


def automation_threshold(probabilities: Floats, truth: Labels, accuracy: float = AUTOMATION_ACCURACY) -> float:
    """The lowest confidence such that at least `accuracy` of the rows at or above it are right; 1 if there is none."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    right = (probabilities.argmax(axis=1) == truth)[order]
    falling = confidence[order]
    good = np.cumsum(right) / np.arange(1, len(order) + 1) >= accuracy
    good[:-1] &= falling[:-1] > falling[1:]  # rows of equal confidence are taken together
    return float(falling[np.flatnonzero(good)[-1]]) if good.any() else 1.0


def one_thread() -> AbstractContextManager[Any]:
    """Numeric libraries on one thread while this is open: sums come in one order, so results are the same bytes."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


def _embed(encoder: Encoder, texts: Sequence[str], progress: Progress) -> Embeddings:
    done = 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        progress("embedding", done, len(texts))

    return encoder.encode(texts, tick)


def _fit_kernel(
    embeddings: Embeddings, truth: Labels, folds: Labels, labels: int, seed: int, progress: Progress
) -> tuple[KernelRidge, Floats]:
    """The kernel regression and its held-out outputs (texts, labels)."""
    targets = np.zeros((len(truth), labels), np.float32)
    inside = np.flatnonzero(truth != OUT_OF_SCOPE)
    targets[inside, truth[inside]] = 1.0
    done, total = 0, len(np.unique(folds)) + 2

    def tick(more: int) -> None:
        nonlocal done
        done += more
        progress("kernel regression", done, total)

    return intent_kernel.fit(embeddings, targets, folds, seed, tick)


def _fit_margins(
    texts: Sequence[str], truth: Labels, folds: Labels, labels: Sequence[str], seed: int, progress: Progress
) -> tuple[IntentModel, Floats]:
    """The linear SVMs, not yet calibrated, and their held-out margins (texts, labels)."""
    in_words, in_characters = [word_terms(text) for text in texts], [character_terms(text) for text in texts]
    words = fit_vocabulary(in_words, 0)
    characters = fit_vocabulary(in_characters, len(words.columns))
    rows = matrix(((in_words, words), (in_characters, characters)))
    held_out = np.zeros((len(texts), len(labels)))
    inside, present = truth != OUT_OF_SCOPE, np.unique(folds)
    for done, fold in enumerate(present):
        weights, bias = _fit_svm(rows, truth, (folds != fold) & inside, len(labels), seed)
        held_out[folds == fold] = rows[folds == fold] @ weights + bias
        progress("linear SVM", done + 1, len(present) + 1)
    weights, bias = _fit_svm(rows, truth, inside, len(labels), seed)
    progress("linear SVM", len(present) + 1, len(present) + 1)
    plain = intent_calibration.Calibration(1.0)
    model = IntentModel(
        tuple(labels), words, characters, weights.astype(np.float32), bias, plain, Training("", len(texts), seed)
    )
    return model, held_out


def _fit_svm(rows: Any, truth: Labels, chosen: Any, labels: int, seed: int) -> tuple[Floats, Floats]:
    """Weights (features, labels) and bias (labels,); a label that is absent from these rows gets a bias that loses."""
    from sklearn.svm import LinearSVC

    weights, bias = np.zeros((rows.shape[1], labels)), np.full(labels, -2.0)
    known = np.unique(truth[chosen])
    if len(known) < 2:
        raise ValueError("training needs at least 2 different labels in every split: add examples of other groups")
    svm = LinearSVC(C=SVM_COST, random_state=seed).fit(rows[chosen], truth[chosen])
    coefficients, intercepts = svm.coef_, svm.intercept_
    if len(known) == 2:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.r_[-intercepts, intercepts]
    weights[:, known] = coefficients.T
    bias[known] = intercepts
    return weights, bias
