"""Artefacts: what a registry keeps, that nothing can be swapped, and that a worse calibration never gets in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from controlplane.assistant import embedding, intent, intent_registry, intent_store
from controlplane.assistant.intent import IntentModel, ModelFileError, Recipe, Trained
from controlplane.assistant.intent_recalibration import RecalibrationError, RecalibrationRefused, recalibrate
from controlplane.assistant.training_data import Example
from tests.assistant.wordings import OOS, examples

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
needs_extra = pytest.mark.skipif(not embedding.available(), reason="the extra `embeddings` is not installed")


@pytest.fixture(scope="module")
def trained() -> Trained:
    return intent.fit(examples(600, seed=1, oos=60), 3, Recipe(oos_label=OOS))


@pytest.fixture(scope="module")
def newer() -> list[Example]:
    return examples(400, seed=2, oos=30, noise=0.3)


@needs_extra
def test_the_embeddings_tier_is_stored_whole_and_repeatable(tmp_path: Path) -> None:
    rows = examples(150, seed=1, oos=25)
    recipe = Recipe("embeddings", OOS)
    model = intent.train(rows, 3, recipe)
    assert model.tier == "embeddings"
    assert intent.train(rows, 3, recipe).digest == model.digest
    loaded = intent.load(tmp_path / "m.npz", intent.save(model, tmp_path / "m.npz"))
    for text in ("where is my refund", "I lost the card", "who won the match", ""):
        assert loaded.predict(text) == model.predict(text)
    assert loaded.digest == model.digest
    assert loaded.predict("please send my refund soon").in_scope > loaded.predict("zebra piano mountain").in_scope


@needs_extra
def test_embeddings_of_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = intent.train(examples(100, seed=1), 3, Recipe("embeddings"))
    digest = intent.save(model, tmp_path / "m.npz")
    other = replace(embedding.open_encoder(), version="another")
    monkeypatch.setattr(intent_store, "open_encoder", lambda: other)
    with pytest.raises(ModelFileError, match="installed are another: train it again"):
        intent.load(tmp_path / "m.npz", digest)


def test_out_of_scope_rows_are_no_intent(trained: Trained) -> None:
    model = trained.model
    assert OOS not in model.labels
    assert model.calibration.scope_fitted_to_oos
    assert model.scope_threshold > 0
    assert (trained.truth == -1).sum() == 60


def test_the_shipped_recipe_judges_no_scope() -> None:
    model = intent.train(examples(100, seed=1), 3)
    assert model.scope_threshold == 0
    assert model.predict("zebra").in_scope == 1


def test_the_automation_threshold_reaches_its_accuracy_on_held_out_rows() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 4000)
    right = rng.random(4000) < confidence
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    threshold = intent.automation_threshold(probabilities, np.where(right, 0, 1), 0.98)
    above = confidence >= threshold
    assert right[above].mean() >= 0.98
    lower = np.sort(confidence)[np.searchsorted(np.sort(confidence), threshold) - 1]
    assert right[confidence >= lower].mean() < 0.98
    assert intent.automation_threshold(probabilities, np.ones(4000, int) * 7) == 1.0


def test_rows_of_equal_confidence_are_taken_together() -> None:
    probabilities = np.array([[0.9, 0.1]] * 100)
    truth = np.array([0] * 97 + [1] * 3)
    assert intent.automation_threshold(probabilities, truth) == 1.0
    assert intent.automation_threshold(probabilities, np.zeros(100, int)) == 0.9


def test_a_registry_keeps_what_an_auditor_asks_for(trained: Trained, tmp_path: Path) -> None:
    model = trained.model
    folder, manifest = intent_registry.register(model, tmp_path, NOW, {"accuracy": 0.9}, "rows.csv")
    assert folder == tmp_path / model.digest[:12]
    assert manifest.digest == model.digest
    assert manifest.created == "2026-03-04T05:06:07Z"
    assert manifest.training_data == {
        "sha256": model.training.data_sha256, "rows": 660, "seed": 3, "file": "rows.csv"
    }  # fmt: skip
    assert manifest.parts["calibration"] == model.calibration.digest
    found, again = intent_registry.opened(tmp_path)
    assert again == manifest
    assert found.predict("where is my refund") == model.predict("where is my refund")
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert intent_registry.register(model, tmp_path, later, {"accuracy": 0.1})[1] == manifest


@pytest.mark.parametrize("name", [intent_registry.MODEL, intent_registry.MANIFEST])
def test_a_tampered_artefact_is_not_opened(trained: Trained, tmp_path: Path, name: str) -> None:
    folder, manifest = intent_registry.register(trained.model, tmp_path, NOW, {})
    path = folder / name
    if name == intent_registry.MODEL:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    else:
        path.write_text(path.read_text(encoding="utf-8").replace(manifest.digest, "0" * 64), encoding="utf-8")
    with pytest.raises(ModelFileError, match=r"has sha256 .*, expected"):
        intent_registry.opened(folder)


def test_what_is_no_model_is_named(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model registry at"):
        intent_registry.manifests(tmp_path / "absent")
    with pytest.raises(ModelFileError, match=r"no model at .*absent: give the folder"):
        intent_registry.opened(tmp_path / "absent")
    with pytest.raises(ModelFileError, match="holds 0 models"):
        intent_registry.opened(tmp_path)
    folder, _ = intent_registry.register(trained.model, tmp_path, NOW, {})
    intent_registry.register(intent.train(examples(60, seed=5), 1), tmp_path, NOW, {})
    with pytest.raises(ModelFileError, match="holds 2 models"):
        intent_registry.opened(tmp_path)
    (folder / intent_registry.MANIFEST).write_text(json.dumps({"digest": "x"}), encoding="utf-8")
    with pytest.raises(ModelFileError, match="cannot be read"):
        intent_registry.opened(folder)


def scored(model: IntentModel, rows: list[Example]) -> intent.Scores:
    return model.scores([row.text for row in rows])


def test_recalibration_is_a_new_artefact_with_the_same_weights(trained: Trained, newer: list[Example]) -> None:
    old = replace(trained.model, calibration=replace(trained.model.calibration, margin_weight=40.0, beta=None))
    old = intent_store.sealed(replace(old, validation=None))
    found = recalibrate(old, newer, scored(old, newer))
    assert found.loss_after < found.loss_before
    assert found.model.digest != old.digest
    assert found.model.training.parent == old.digest
    before, after = intent_store.parts(old), intent_store.parts(found.model)
    assert before["weights"] == after["weights"]
    assert before["calibration"] != after["calibration"]


def test_recalibrating_on_wrong_labels_is_refused(trained: Trained, newer: list[Example]) -> None:
    labels = trained.model.labels
    shifted = [
        row if row.label == OOS else replace(row, label=labels[(labels.index(row.label) + 1) % len(labels)])
        for row in newer
    ]
    with pytest.raises(RecalibrationRefused, match=r"refused: held-out log loss .* but 0\.\d+ -> \d\.\d+ on the rows"):
        recalibrate(trained.model, shifted, scored(trained.model, newer))


def test_a_calibration_that_is_worse_on_new_rows_is_refused(trained: Trained, newer: list[Example]) -> None:
    """The one in force is the best for these very rows: whatever is fitted to a part of them can only be worse on the rest."""
    inside = [row for row in newer if row.label != OOS]
    first = recalibrate_to(trained.model, inside)
    with pytest.raises(RecalibrationRefused, match=r"gets worse: held-out log loss \d\.\d+ -> \d\.\d+ a row"):
        recalibrate(first, inside, scored(first, inside))


def recalibrate_to(model: IntentModel, rows: list[Example]) -> IntentModel:
    from controlplane.assistant import intent_calibration

    truth = np.array([model.labels.index(row.label) for row in rows])
    return replace(model, calibration=intent_calibration.fit(scored(model, rows), truth), validation=None)


def test_rows_it_was_trained_on_do_not_count(trained: Trained) -> None:
    rows = examples(600, seed=1, oos=60)
    with pytest.raises(RecalibrationError, match=r"got 0 \(660 rows were trained on\)"):
        recalibrate(trained.model, rows, scored(trained.model, rows))


def test_an_unknown_label_is_named(trained: Trained) -> None:
    rows = [Example("hello there", "mortgage", 0)]
    with pytest.raises(RecalibrationError, match="mortgage"):
        recalibrate(trained.model, rows, scored(trained.model, rows))
