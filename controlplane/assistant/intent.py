"""Which of the known intents a text is about: TF-IDF of words and characters, linear SVM, temperature scaling.

Rules
- Features: word 1- and 2-grams, and character 2- to 5-grams inside word boundaries; sublinear term frequency, smoothed
  inverse document frequency, each of the two blocks scaled to unit length (scikit-learn's definitions).
- One linear SVM per intent; its margins become probabilities by softmax(margin / T). T minimises the log loss of
  out-of-fold margins, where all variants of one phrasing stay in one fold (Guo et al. 2017, "On Calibration").
- scikit-learn is needed to train only. A message is classified by dictionary look-ups and one small product, because
  its general machinery would take most of the time allowed for the whole answer.
- A stored model is opened only if its bytes have the expected sha256 (joblib files can run code when opened).
"""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant.model import IntentPrediction
from controlplane.assistant.text import normalise, tokens
from controlplane.assistant.training_data import Example

FORMAT = 1
FOLDS = 3
SVM_COST = 2.0
MAX_CLASSIFIED_CHARACTERS = 1_000
TEMPERATURES = np.geomspace(0.02, 5.0, 160)

Floats = NDArray[np.float64]


class ModelFileError(Exception):
    """A stored classifier is missing, changed or of another format."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The terms of one block of features, their first column in the weights, and their inverse document frequency."""

    columns: dict[str, int]
    idf: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class IntentModel:
    """A trained classifier. `weights` is (features, labels), `bias` (labels,); `digest` is the sha256 of `blob`."""

    labels: tuple[str, ...]
    words: Vocabulary
    characters: Vocabulary
    weights: NDArray[np.float32]
    bias: Floats
    temperature: float
    blob: bytes
    digest: str

    def predict(self, text: str) -> IntentPrediction:
        """Classifies one text; only its first 1,000 characters count."""
        scores = softmax(self.margins(text) / self.temperature)
        best = int(scores.argmax())
        pairs = zip(self.labels, scores.tolist(), strict=True)
        return IntentPrediction(self.labels[best], float(scores[best]), dict(pairs))

    def margins(self, text: str) -> Floats:
        """The SVM's raw margin per label."""
        text = normalise(text[:MAX_CLASSIFIED_CHARACTERS])
        total = self.bias
        for vocabulary, terms in ((self.words, word_terms(text)), (self.characters, character_terms(text))):
            columns, values = weigh(terms, vocabulary)
            if len(columns):
                total = total + values @ self.weights[columns]
        return total


def word_terms(text: str) -> list[str]:
    """Word 1- and 2-grams of a normalised text."""
    words = tokens(text)
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def character_terms(text: str) -> list[str]:
    """Character 2- to 5-grams within each blank-padded word of a normalised text."""
    terms: list[str] = []
    for word in text.split():
        padded = f" {word} "
        for size in range(2, min(5, len(padded)) + 1):
            terms += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return terms


def weigh(terms: Iterable[str], vocabulary: Vocabulary) -> tuple[NDArray[np.int64], Floats]:
    """Columns and unit-length TF-IDF values of the known terms of one text."""
    known = vocabulary.columns
    counts = Counter([known[term] for term in terms if term in known])
    columns = np.fromiter(counts.keys(), np.int64, len(counts))
    first = next(iter(known.values()), 0)
    values = (1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))) * vocabulary.idf[columns - first]
    norm = np.sqrt(values @ values)
    return columns, values / norm if norm else values


def softmax(margins: Floats) -> Floats:
    """Probabilities over the last axis."""
    shifted = np.exp(margins - margins.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float64)


def train(examples: Sequence[Example], seed: int) -> IntentModel:
    """Trains and calibrates a classifier. Same examples, seed and library versions give the same digest."""
    labels = tuple(sorted({example.label for example in examples}))
    if len(labels) < 2:
        raise ValueError(f"training needs at least 2 different labels, got {len(labels)}: add examples")
    texts = [normalise(example.text) for example in examples]
    truth = np.array([labels.index(example.label) for example in examples])
    in_words, in_characters = [word_terms(text) for text in texts], [character_terms(text) for text in texts]
    words = fit_vocabulary(in_words, 0)
    characters = fit_vocabulary(in_characters, len(words.columns))
    rows = _matrix(((in_words, words), (in_characters, characters)))
    folds = np.array([example.group for example in examples]) % FOLDS
    held_out = np.zeros((len(texts), len(labels)))
    for fold in range(FOLDS):
        weights, bias = _fit_svm(rows[folds != fold], truth[folds != fold], len(labels), seed)
        held_out[folds == fold] = rows[folds == fold] @ weights + bias
    weights, bias = _fit_svm(rows, truth, len(labels), seed)
    return _assemble(
        {
            "format": FORMAT,
            "labels": list(labels),
            "words": list(words.columns),
            "word_idf": words.idf,
            "characters": list(characters.columns),
            "character_idf": characters.idf,
            "weights": weights.astype(np.float32),
            "bias": bias,
            "temperature": fit_temperature(held_out, truth),
        }
    )


def fit_vocabulary(documents: Sequence[Sequence[str]], first_column: int) -> Vocabulary:
    """All terms of the documents in alphabetical order, columns counted from `first_column`."""
    frequency = Counter(term for document in documents for term in set(document))
    terms = sorted(frequency)
    idf = np.log((1 + len(documents)) / (1 + np.array([frequency[term] for term in terms]))) + 1
    return Vocabulary({term: first_column + i for i, term in enumerate(terms)}, idf.astype(np.float32))


def fit_temperature(margins: Floats, truth: NDArray[np.int64]) -> float:
    """The temperature on a fixed grid with the least log loss for margins (n, labels) and true label positions (n,)."""

    def log_loss(temperature: float) -> float:
        chosen = softmax(margins / temperature)[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    return float(min(TEMPERATURES, key=log_loss))


def save(model: IntentModel, path: Path) -> str:
    """Writes the model; returns its sha256, which `load` asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(model.blob)
    partial.replace(path)
    return model.digest


def load(path: Path, expected_sha256: str) -> IntentModel:
    """Opens a stored model; raises `ModelFileError` if it is missing or not the expected one."""
    if not path.is_file():
        raise ModelFileError(f"no classifier at {path}: train one and save it there")
    blob = path.read_bytes()
    found = hashlib.sha256(blob).hexdigest()
    if found != expected_sha256:
        raise ModelFileError(f"classifier {path} has sha256 {found}, expected {expected_sha256}: train it again")
    return _open(blob)


def _matrix(blocks: Sequence[tuple[Sequence[Sequence[str]], Vocabulary]]) -> Any:
    """The (texts, features) matrix of some blocks of features, side by side."""
    from scipy.sparse import csr_matrix

    columns, values, ends = [], [], [0]
    for documents in zip(*(terms for terms, _ in blocks), strict=True):
        for terms, (_, vocabulary) in zip(documents, blocks, strict=True):
            found, weighed = weigh(terms, vocabulary)
            columns.append(found)
            values.append(weighed)
        ends.append(ends[-1] + sum(len(found) for found in columns[-len(blocks) :]))
    shape = (len(ends) - 1, sum(len(vocabulary.columns) for _, vocabulary in blocks))
    return csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=shape)


def _fit_svm(rows: Any, truth: NDArray[np.int64], labels: int, seed: int) -> tuple[Floats, Floats]:
    """Weights (features, labels) and bias (labels,); a label that is absent from these rows gets a bias that loses."""
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=SVM_COST, random_state=seed).fit(rows, truth)
    weights, bias = np.zeros((rows.shape[1], labels)), np.full(labels, -2.0)
    coefficients, intercepts = svm.coef_, svm.intercept_
    if len(svm.classes_) == 2:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.r_[-intercepts, intercepts]
    weights[:, svm.classes_] = coefficients.T
    bias[svm.classes_] = intercepts
    return weights, bias


def _assemble(content: dict[str, Any]) -> IntentModel:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(content, buffer)
    return _open(buffer.getvalue())


def _open(blob: bytes) -> IntentModel:
    import joblib

    content = joblib.load(io.BytesIO(blob))
    if content.get("format") != FORMAT:
        raise ModelFileError(f"classifier format {content.get('format')}, this version reads {FORMAT}: train it again")
    words = {term: i for i, term in enumerate(content["words"])}
    characters = {term: len(words) + i for i, term in enumerate(content["characters"])}
    return IntentModel(
        labels=tuple(content["labels"]),
        words=Vocabulary(words, content["word_idf"]),
        characters=Vocabulary(characters, content["character_idf"]),
        weights=content["weights"],
        bias=content["bias"],
        temperature=content["temperature"],
        blob=blob,
        digest=hashlib.sha256(blob).hexdigest(),
    )
