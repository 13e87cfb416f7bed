"""AUROC, calibration error and kappa against independent computations and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, cohen_kappa_score, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss
from statsmodels.stats.inter_rater import cohens_kappa

from controlplane.evaluation.discrimination import auroc, brier, cohen_kappa, expected_calibration_error, log_loss

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=2, max_size=60)


@given(rows)
def test_the_area_is_sklearns(found) -> None:
    positive, score = np.array([p for p, _ in found]), np.array([s / 8 for _, s in found])
    area = auroc(positive, score)
    if positive.all() or not positive.any():
        assert area is None
    else:
        assert area.value == pytest.approx(roc_auc_score(positive, score))
        assert area.low is None or 0 <= area.low <= area.value <= area.high <= 1


def _delong(positive: np.ndarray, score: np.ndarray) -> float:
    """DeLong's variance straight from its definition, pair by pair."""
    above, below = score[positive], score[~positive]
    wins = (above[:, None] > below[None, :]) + 0.5 * (above[:, None] == below[None, :])
    return wins.mean(axis=1).var(ddof=1) / above.size + wins.mean(axis=0).var(ddof=1) / below.size


def test_rows_of_their_own_give_delongs_interval() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(150) < 0.4
    score = np.round(rng.normal(size=150) + positive, 1)
    found = auroc(positive, score)
    logit = np.log(found.value / (1 - found.value))
    half = 1.959964 * np.sqrt(_delong(positive, score)) / (found.value * (1 - found.value))
    assert found.low == pytest.approx(1 / (1 + np.exp(-(logit - half))), abs=2e-3)
    assert found.high == pytest.approx(1 / (1 + np.exp(-(logit + half))), abs=2e-3)


def test_repeated_rows_of_one_cluster_add_no_certainty() -> None:
    rng = np.random.default_rng(5)
    positive = rng.random(120) < 0.5
    score = rng.normal(size=120) + positive
    once = auroc(positive, score)
    four = auroc(np.tile(positive, 4), np.tile(score, 4), list(range(120)) * 4)
    pretended = auroc(np.tile(positive, 4), np.tile(score, 4))
    assert four.high - four.low == pytest.approx(once.high - once.low, rel=0.02)
    assert pretended.high - pretended.low < 0.6 * (once.high - once.low)


def test_the_clustered_interval_covers() -> None:
    """Contexts with a random effect of their own on all their rows; the truth from a very large sample."""

    def draw(rng: np.random.Generator, contexts: int):
        context = np.repeat(np.arange(contexts), 3)
        positive = rng.random(contexts * 3) < 0.5
        return positive, positive + rng.normal(size=contexts)[context] + rng.normal(size=context.size), context

    rng = np.random.default_rng(9)
    truth = auroc(*draw(rng, 60_000)[:2]).value
    found = [auroc(*draw(rng, 60)) for _ in range(400)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.92


def test_scores_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="one finite score"):
        auroc(np.array([True, False]), np.array([0.1, np.nan]))


def test_perfect_separation_has_no_interval() -> None:
    found = auroc(np.array([True, True, False, False]), np.array([0.9, 0.8, 0.2, 0.1]))
    assert (found.value, found.low, found.high) == (1.0, None, None)


def test_calibration_error_by_hand() -> None:
    positive = np.array([True, False, True, True])
    probability = np.array([0.55, 0.56, 1.0, 0.95])
    by_hand = (abs(0.55 + 0.56 - 1) + abs(1.95 - 2)) / 4
    assert expected_calibration_error(positive, probability, bins=10) == pytest.approx(by_hand)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50))
def test_calibration_error_is_a_share_and_brier_is_sklearns(found) -> None:
    positive, probability = np.array([p for p, _ in found]), np.array([q for _, q in found])
    assert 0 <= expected_calibration_error(positive, probability) <= 1 + 1e-12
    assert brier(positive, probability) == pytest.approx(brier_score_loss(positive, probability, pos_label=True))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=5, max_size=60))
def test_kappa_is_that_of_statsmodels(pairs) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = cohen_kappa(first, second)
    names = sorted({*first, *second})
    if len(names) < 2:
        assert found is None
        return
    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    table = np.zeros((len(names), len(names)))
    for a, b in pairs:
        table[names.index(a), names.index(b)] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        theirs = cohens_kappa(table)
    if theirs.var_kappa > 1e-12:
        assert found.low == pytest.approx(max(theirs.kappa_low, -1))
        assert found.high == pytest.approx(min(theirs.kappa_upp, 1))


@given(st.lists(st.tuples(st.booleans(), st.floats(1e-6, 1 - 1e-6)), min_size=1, max_size=50))
def test_log_loss_is_sklearns(found) -> None:
    positive, probability = np.array([p for p, _ in found]), np.array([q for _, q in found])
    assert log_loss(positive, probability) == pytest.approx(
        sklearn_log_loss(positive, probability, labels=[False, True])
    )


def test_a_certain_mistake_costs_much_and_not_everything() -> None:
    assert log_loss(np.array([True]), np.array([0.0])) == pytest.approx(20.72, abs=0.01)


def test_raters_must_rate_the_same_rows() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        cohen_kappa(["a", "b"], ["a"])
