"""Figures of an intent classifier: recounted by hand and by scikit-learn on generated predictions."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score

from controlplane.assistant import intent
from controlplane.assistant.intent import Recipe, Trained
from controlplane.evaluation import intents
from controlplane.evaluation.intents import IntentEvaluationError, Measured
from controlplane.evaluation.labelled_files import LabelledRow, read_labelled
from tests.assistant.wordings import OOS, examples

BANKING77 = Path(__file__).parents[3] / "shared" / "data" / "banking77" / "train.csv.gz"
KEYS = [
    "accuracy", "ece_raw", "ece", "oos_auroc", "oos_rejected_at_95", "sensitive_recall", "over_routing", "coverage_at_98",
    "accuracy_above_threshold", "p50_ms", "p95_ms",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained() -> Trained:
    return intent.fit(examples(600, seed=1, oos=60), 3, Recipe(oos_label=OOS))


def rows(n: int, oos: int = 0) -> list[LabelledRow]:
    return [LabelledRow(e.text, e.label, e.group) for e in examples(n, seed=8, oos=oos)]


def drawn(n: int, seed: int, oos: float, sensitive: float) -> Measured:
    rng = np.random.default_rng(seed)
    truth = np.where(rng.random(n) < oos, -1, rng.integers(0, 4, n))
    truth[0] = 1
    confidence = rng.uniform(0.25, 1, n)
    predicted = np.where(rng.random(n) < confidence, truth, (truth + 1) % 4)
    return Measured(
        truth, predicted, confidence, rng.uniform(0.25, 1, n), rng.random(n), rng.random(n),
        (truth >= 0) & (rng.random(n) < sensitive), rng.exponential(2, n), predicted,
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 300), st.integers(0, 9999), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.2]))
def test_figures_are_recounted(n: int, seed: int, oos: float, sensitive: float) -> None:
    m = drawn(n, seed, oos, sensitive)
    value = intents.figures(m, automation=0.7, mass=0.4)
    inside = m.truth >= 0
    assert list(value)[: len(KEYS)] == KEYS
    assert value["accuracy"] == pytest.approx(accuracy_score(m.truth[inside], m.predicted[inside]))
    assert value["n"] + value["n_oos"] == n
    if inside.all():
        assert value["oos_auroc"] is None
        assert value["oos_rejected_at_95"] is None
    else:
        assert value["oos_auroc"] == pytest.approx(roc_auc_score(inside, m.in_scope))
        line = np.quantile(m.in_scope[inside], 0.05)
        assert value["oos_rejected_at_95"] == pytest.approx(np.mean([s < line for s in m.in_scope[~inside]]))
    routed = m.sensitive_mass >= 0.4
    if m.sensitive.any():
        assert value["sensitive_recall"] == pytest.approx(routed[m.sensitive].mean())
        harmless = inside & ~m.sensitive
        assert value["over_routing"] == (pytest.approx(routed[harmless].mean()) if harmless.any() else None)
    else:
        assert value["sensitive_recall"] is None
    above = [i for i in range(n) if inside[i] and m.confidence[i] >= 0.7]
    assert value["coverage_at_98"] == pytest.approx(len(above) / inside.sum())
    if above:
        assert value["accuracy_above_threshold"] == pytest.approx(
            np.mean([m.predicted[i] == m.truth[i] for i in above])
        )
    assert sum(point["n"] for point in value["reliability"]) == value["n"]
    for name, (low, high) in value["intervals"].items():
        assert low - 1e-9 <= value[name] <= high + 1e-9


def test_reliability_and_ece_agree() -> None:
    m = drawn(500, 5, 0.0, 0.0)
    value = intents.figures(m, 0.7, None)
    gaps = sum(p["n"] * abs(p["confidence"] - p["accuracy"]) for p in value["reliability"])
    assert gaps / 500 == pytest.approx(value["ece"])


def test_only_out_of_scope_rows_cannot_be_measured() -> None:
    m = drawn(5, 1, 0.0, 0.0)
    outside = Measured(
        np.full(5, -1), m.predicted, m.confidence, m.raw_confidence, m.in_scope, m.sensitive_mass, m.sensitive,
        m.milliseconds, m.raw_predicted,
    )  # fmt: skip
    with pytest.raises(IntentEvaluationError, match="no row of a known intent"):
        intents.figures(outside, 0.5, None)


def test_each_row_is_classified_and_timed_alone(trained: Trained) -> None:
    ticks = count()
    m = intents.measure(trained.model, rows(30, 5), OOS, ["refund"], clock=lambda: next(ticks) * 0.002)
    assert m.milliseconds == pytest.approx(2.0)
    assert m.inside.sum() == 30
    assert m.sensitive.sum() == 10
    prediction = trained.model.predict(rows(30)[0].text)
    assert m.confidence[0] == prediction.confidence
    assert m.sensitive_mass[0] == pytest.approx(prediction.probabilities["refund"])
    assert m.in_scope[0] == prediction.in_scope


def test_unknown_labels_are_named(trained: Trained) -> None:
    with pytest.raises(IntentEvaluationError, match=r"that training lacks: oos.*--oos-label"):
        intents.measure(trained.model, rows(5, 2))
    with pytest.raises(
        IntentEvaluationError, match="--sensitive fraud: no such label; there are address, card_lost, refund"
    ):
        intents.sensitive_threshold(trained, ["fraud"])
    with pytest.raises(IntentEvaluationError, match="no row of a known intent"):
        intents.check_labels(("refund",), ("oos",), "oos", ())


def test_the_sensitive_threshold_finds_held_out_rows_within_its_budget(trained: Trained) -> None:
    mass = intents.sensitive_threshold(trained, ["refund"])
    place = trained.model.labels.index("refund")
    found = trained.model.calibration.probabilities(trained.scores)[:, place]
    others = (trained.truth >= 0) & (trained.truth != place)
    assert 0 < mass <= intents.SENSITIVE_MASS
    assert mass == intents.SENSITIVE_MASS or (found[others] >= mass).mean() <= intents.OVER_ROUTING + 0.01


def test_equal_texts_are_one_group() -> None:
    found = intents.examples_of([LabelledRow(text, "x", 1) for text in ("Hello  there", "hello there", "bye")])
    assert [example.group for example in found] == [0, 0, 1]


def test_a_sample_of_real_questions(capsys: pytest.CaptureFixture[str]) -> None:
    """A tenth of Banking77's intents, half to train on: small, and real."""
    if not BANKING77.is_file():
        pytest.skip(f"real data set not found at {BANKING77}")
    every = read_labelled(BANKING77).rows
    chosen = sorted({row.label for row in every})[::10]
    own = [row for row in every if row.label in chosen]
    model = intent.fit(intents.examples_of(own[::2]), 1, Recipe())
    value = intents.figures(intents.measure(model.model, own[1::2]), model.model.automation_threshold, None)
    with capsys.disabled():
        print(
            f"\n{len(chosen)} Banking77 intents: accuracy {value['accuracy']:.3f}, ECE {value['ece']:.3f}, n {value['n']}"
        )
    assert value["accuracy"] > 0.94
    assert value["ece"] < 0.03
    assert value["accuracy_above_threshold"] > 0.96
