"""Calibration: probabilities stay probabilities, the order never changes, and they become honest. scikit-learn and SciPy are oracles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from controlplane.assistant import intent_calibration
from controlplane.assistant.intent_calibration import Calibration, CalibrationError, Scores, log_loss, logistic, softmax
from controlplane.evaluation.discrimination import expected_calibration_error

numbers = st.floats(-30, 30, allow_nan=False)
MARGINS = arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 7)), elements=numbers)
BETAS = st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(-4, 4))


def world(rows: int = 3000, labels: int = 6, seed: int = 0) -> tuple[Scores, np.ndarray]:
    """Scores whose best answer is right about four times in five, and far too sure of it."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, labels, rows)
    strength = rng.uniform(0.2, 2.0, rows)[:, None]
    margins = np.eye(labels)[truth] * strength + rng.normal(0, 0.45, (rows, labels))
    outputs = np.eye(labels)[truth] * strength / 2 + rng.normal(0, 0.3, (rows, labels))
    return Scores(margins * 12, outputs), truth


@given(MARGINS, BETAS)
def test_probabilities_sum_to_one_and_keep_their_order(margins: np.ndarray, beta: tuple[float, float, float]) -> None:
    plain = Calibration(0.7)
    found = replace(plain, beta=beta).probabilities(Scores(margins))
    before = plain.probabilities(Scores(margins))
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found >= 0).all()
    rows = np.arange(len(margins))
    best = before.argmax(axis=1)
    assert found[rows, best] == pytest.approx(found.max(axis=1))
    for old, new, top in zip(before, found, best, strict=True):
        rest = np.delete(np.arange(len(old)), top)
        order = rest[np.argsort(old[rest], kind="stable")]
        assert (np.diff(new[order]) >= -1e-12).all()


@given(MARGINS)
def test_softmax_and_logistic_are_scipys(margins: np.ndarray) -> None:
    assert softmax(margins) == pytest.approx(scipy_softmax(margins, axis=1))
    assert logistic(margins[0]) == pytest.approx(expit(margins[0]))


def test_log_loss_is_scikit_learns() -> None:
    scores, truth = world(200)
    probabilities = softmax(scores.margins)
    assert log_loss(probabilities, truth) == pytest.approx(sklearn_log_loss(truth, probabilities, labels=range(6)))


@pytest.mark.parametrize("with_outputs", [False, True])
def test_calibration_makes_new_rows_honest(with_outputs: bool) -> None:
    scores, truth = world(10_000)
    scores = scores if with_outputs else Scores(scores.margins)
    half = np.arange(len(truth)) < len(truth) // 2
    found = intent_calibration.fit(scores.rows(half), truth[half])
    after = found.probabilities(scores.rows(~half))
    raw = softmax(scores.margins[~half])

    def ece(probabilities: np.ndarray) -> float:
        right = probabilities.argmax(axis=1) == truth[~half]
        return expected_calibration_error(right, probabilities.max(axis=1))

    assert ece(after) < 0.03 < ece(raw)
    assert log_loss(after, truth[~half]) < log_loss(raw, truth[~half])
    assert (found.output_weight > 0) is with_outputs


def test_two_scorers_together_are_better_than_one() -> None:
    scores, truth = world(seed=4)
    both = intent_calibration.fit(scores, truth)
    alone = intent_calibration.fit(Scores(scores.margins), truth)
    assert both.log_loss < alone.log_loss


@pytest.mark.parametrize("labelled", [True, False])
def test_the_scope_score_keeps_95_percent_and_rejects_the_rest(labelled: bool) -> None:
    scores, truth = world()
    rng = np.random.default_rng(9)
    strange = Scores(rng.normal(0, 0.3, (300, 6)), rng.normal(0, 0.1, (300, 6)))
    if labelled:
        every = Scores(np.vstack([scores.margins, strange.margins]), np.vstack([scores.outputs, strange.outputs]))
        found = intent_calibration.fit(every, np.r_[truth, np.full(300, -1)])
    else:
        found = intent_calibration.fit(scores, truth)
    assert found.scope_fitted_to_oos is labelled
    inside, outside = found.in_scope(scores), found.in_scope(strange)
    assert (inside >= found.scope_threshold).mean() == pytest.approx(0.95, abs=0.002)
    assert ((inside >= 0) & (inside <= 1)).all()
    assert roc_auc_score(np.r_[np.ones(len(inside)), np.zeros(300)], np.r_[inside, outside]) > 0.9


def test_all_right_needs_no_beta_and_no_rows_is_an_error() -> None:
    truth = np.array([0, 1, 2] * 20)
    assert intent_calibration.fit(Scores(np.eye(3)[truth] * 9), truth).beta is None
    with pytest.raises(CalibrationError, match="rows with a known label"):
        intent_calibration.fit(Scores(np.zeros((2, 3))), np.array([-1, -1]))


def test_the_digest_is_of_every_number() -> None:
    base = Calibration(2.0)
    changes = [
        {"margin_weight": 2.1}, {"output_weight": 1.0}, {"beta": (1.0, 1.0, 0.0)}, {"scope_threshold": 0.1}, {"rows": 3},
    ]  # fmt: skip
    assert len({base.digest, *(replace(base, **change).digest for change in changes)}) == 6
