"""The classifier: what it gets right, that it is sure where it should be, and that a stored one cannot be swapped."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from controlplane.assistant import intent, intent_store, release
from controlplane.assistant.intent import IntentModel, ModelFileError
from controlplane.assistant.release import load_or_train
from controlplane.assistant.text import normalise
from controlplane.assistant.training_data import Example, load_examples, load_heldout, shifted_labels

BANKING77 = Path(__file__).parents[3] / "shared" / "data" / "banking77" / "train.csv.gz"
BANKING77_INTENTS = {
    "card_arrival": "card_not_arrived",
    "card_delivery_estimate": "card_not_arrived",
    "activate_my_card": "card_not_arrived",
    "lost_or_stolen_card": "card_lost_or_stolen",
    "Refund_not_showing_up": "refund_status",
    "failed_transfer": "transfer_failed",
    "transfer_timing": "transfer_failed",
    "transfer_not_received_by_recipient": "transfer_failed",
    "exchange_charge": "fees",
    "pin_blocked": "pin_reset",
    "change_pin": "pin_reset",
    "passcode_forgotten": "pin_reset",
    "card_payment_not_recognised": "fraud",
    "compromised_card": "fraud",
    "transaction_charged_twice": "dispute_charge",
}
TOY = [
    Example(f"{verb} my {thing} {n}", thing, n)
    for thing in ("card", "refund", "address")
    for n, verb in enumerate(("where is", "change", "what about", "lost", "hello", "tell me"))
]


@pytest.fixture(scope="module")
def toy() -> IntentModel:
    return intent.train(TOY, seed=3)


def test_held_out_questions_are_mostly_understood(classifier: IntentModel, capsys: pytest.CaptureFixture[str]) -> None:
    heldout = load_heldout()
    predictions = [classifier.predict(question.text) for question in heldout]
    accuracy = np.mean([p.label == q.intent for p, q in zip(predictions, heldout, strict=True)])
    sure = [p.label == q.intent for p, q in zip(predictions, heldout, strict=True) if p.confidence >= 0.6]
    with capsys.disabled():
        print(f"\nheld-out accuracy {accuracy:.3f} (n={len(heldout)}), at confidence >= 0.6: {np.mean(sure):.3f}")
    assert accuracy >= 0.75
    assert np.mean(sure) >= 0.85


def test_held_out_questions_are_not_training_texts() -> None:
    trained = {normalise(example.text) for example in load_examples(1)}
    assert not trained & {normalise(question.text) for question in load_heldout()}


def test_real_customers_of_another_bank_are_mostly_understood(
    classifier: IntentModel, capsys: pytest.CaptureFixture[str]
) -> None:
    if not BANKING77.is_file():
        pytest.skip(f"real data set not found at {BANKING77}")
    with gzip.open(BANKING77) as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))
    asked = [(row["text"], BANKING77_INTENTS[row["category"]]) for row in rows if row["category"] in BANKING77_INTENTS]
    accuracy = np.mean([classifier.predict(text).label == label for text, label in asked])
    with capsys.disabled():
        print(f"\nBANKING77, never trained on: accuracy {accuracy:.3f} (n={len(asked)})")
    assert accuracy >= 0.78


def test_features_are_scikit_learns_tfidf() -> None:
    texts = [normalise(example.text) for example in load_examples(1)[:200]]
    vocabulary = intent.fit_vocabulary([intent.character_terms(text) for text in texts], 0)
    oracle = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, lowercase=False)
    expected = oracle.fit_transform(texts)
    assert sorted(vocabulary.columns) == sorted(oracle.vocabulary_)
    for row, text in enumerate(texts):
        columns, values = intent.weigh(intent.character_terms(text), vocabulary)
        terms = dict(zip(columns.tolist(), values.tolist(), strict=True))
        ours = {term: terms[column] for term, column in vocabulary.columns.items() if column in terms}
        found = expected[row].tocoo()
        theirs = dict(zip(oracle.get_feature_names_out()[found.col], found.data, strict=True))
        assert ours == pytest.approx(theirs, abs=1e-6)


def test_training_twice_gives_the_same_bytes(toy: IntentModel) -> None:
    assert intent.train(TOY, seed=3).digest == toy.digest
    assert hashlib.sha256(intent_store.dump(toy)).hexdigest() == toy.digest


def test_training_needs_two_labels() -> None:
    with pytest.raises(ValueError, match="at least 2 different labels"):
        intent.train([Example("hello", "greeting", 0)], seed=1)


def test_two_labels_are_enough() -> None:
    model = intent.train([example for example in TOY if example.label != "address"], seed=1)
    assert model.predict("my card").label == "card"
    assert model.predict("my refund").label == "refund"


def test_temperature_makes_overconfident_margins_honest() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 600)
    margins = np.eye(3)[np.where(rng.random(600) < 0.7, truth, (truth + 1) % 3)] * 4
    temperature = intent.fit_temperature(margins, truth)
    assert intent.softmax(margins / temperature).max(axis=1).mean() == pytest.approx(0.7, abs=0.05)


@given(st.text(max_size=300))
def test_any_text_gets_probabilities(text: str) -> None:
    prediction = _shipped().predict(text)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.confidence == max(prediction.probabilities.values())


def test_only_the_first_thousand_characters_count(classifier: IntentModel) -> None:
    text = "I lost my card. " * 70
    assert classifier.predict(text + " fraud lawyer" * 500) == classifier.predict(text + " anything at all")


def test_a_stored_model_predicts_the_same(toy: IntentModel, tmp_path: Path) -> None:
    digest = intent.save(toy, tmp_path / "deep" / "model.npz")
    loaded = intent.load(tmp_path / "deep" / "model.npz", digest)
    assert loaded.predict("change my address") == toy.predict("change my address")
    assert not list(tmp_path.glob("**/*.partial"))


def test_a_changed_file_is_never_opened(toy: IntentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.npz"
    digest = intent.save(toy, path)
    path.write_bytes(intent_store.dump(toy) + b"x")
    monkeypatch.setattr(np, "load", lambda *_: pytest.fail("opened a file that is not the expected one"))
    with pytest.raises(ModelFileError, match=r"model\.npz has sha256 .* expected .*: train it again"):
        intent.load(path, digest)


def test_a_missing_file_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no classifier at .*model\.npz"):
        intent.load(tmp_path / "model.npz", "0")


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    np.savez(path, about=np.frombuffer(b'{"format": 0}', np.uint8))
    with pytest.raises(ModelFileError, match="format 0, this version reads 2"):
        intent.load(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_file_that_could_run_code_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, about=np.array([object()], dtype=object))
    with pytest.raises(ModelFileError, match="not a classifier of this program"):
        intent.load(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_folder_is_used_again_and_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "load_examples", lambda seed: tuple(TOY))
    first = load_or_train(tmp_path, "good", 1)
    with monkeypatch.context() as patch:
        patch.setattr(intent, "train", lambda *_: pytest.fail("trained again although it is stored"))
        assert load_or_train(tmp_path, "good", 1).digest == first.digest
    next(tmp_path.glob("*.npz")).write_bytes(b"torn")
    assert load_or_train(tmp_path, "good", 1).digest == first.digest
    assert load_or_train(tmp_path, "good", 1).predict("where is my refund").label == "refund"
    assert load_or_train(tmp_path, "good", 2).digest != first.digest or len(list(tmp_path.glob("*.npz"))) == 2


def test_expansion_is_seeded_and_keeps_groups() -> None:
    assert load_examples(4) == load_examples(4)
    assert load_examples(4) != load_examples(5)
    groups: dict[int, set[str]] = {}
    for example in load_examples(4):
        groups.setdefault(example.group, set()).add(example.label)
        assert "{" not in example.text
    assert all(len(labels) == 1 for labels in groups.values())


def test_shifted_labels_move_each_label_to_its_successor() -> None:
    examples = load_examples(1)
    shifted = shifted_labels(examples, 1)
    assert [s.text for s in shifted] == [e.text for e in examples]
    moves = {(e.label, s.label) for e, s in zip(examples, shifted, strict=True)}
    assert len(moves) == len({e.label for e in examples}) == len({s.label for s in shifted})
    changed = sorted(before for before, after in moves if before != after)
    assert len(changed) >= 2 * len(moves) / 3
    assert shifted == shifted_labels(examples, 1)


def test_shifting_needs_three_labels() -> None:
    with pytest.raises(ValueError, match="at least 3 different labels"):
        shifted_labels([Example("a", "x", 0), Example("b", "y", 1)], 1)


_model: list[IntentModel] = []


def _shipped() -> IntentModel:
    """A model for hypothesis, which cannot take fixtures of function scope."""
    if not _model:
        _model.append(intent.train(TOY, seed=3))
    return _model[0]
