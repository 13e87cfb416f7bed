"""A trained classifier as a value: what it knows, and how one text is classified."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant.embedding import Encoder
from controlplane.assistant.intent_calibration import Calibration, Floats, Labels, Scores
from controlplane.assistant.intent_features import Vocabulary, character_terms, weigh, word_terms
from controlplane.assistant.intent_kernel import KernelRidge
from controlplane.assistant.model import IntentPrediction
from controlplane.assistant.text import normalise

MAX_CLASSIFIED_CHARACTERS = 1_000

Tier = Literal["default", "embeddings"]


@dataclass(frozen=True, slots=True)
class Training:
    """Where a classifier comes from: sha256 and number of its training rows, seed, and the artefact it was made from."""

    data_sha256: str
    rows: int
    seed: int
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """Held-out raw scores of some training rows and their true label positions: what a recalibration is compared on."""

    scores: Scores
    truth: Labels


@dataclass(frozen=True, slots=True)
class IntentModel:
    """A trained classifier. `weights` is (features, labels), `bias` (labels,); `digest` is the sha256 of its file.

    `kernel` and `encoder` belong to the tier "embeddings". `automation_threshold` is the confidence above which at least 98 % of
    the held-out training rows were right (1 where no threshold reaches that). `seen` are short hashes of training texts.
    """

    labels: tuple[str, ...]
    words: Vocabulary
    characters: Vocabulary
    weights: NDArray[np.float32]
    bias: Floats
    calibration: Calibration
    training: Training
    kernel: KernelRidge | None = field(default=None, repr=False)
    encoder: Encoder | None = field(default=None, repr=False)
    validation: Validation | None = field(default=None, repr=False)
    seen: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64), repr=False)
    automation_threshold: float = 1.0
    oos_label: str | None = None
    digest: str = ""

    @property
    def tier(self) -> Tier:
        """Which features it looks at."""
        return "default" if self.kernel is None else "embeddings"

    @property
    def scope_threshold(self) -> float:
        """`IntentPrediction.in_scope` below this means out of scope; 0 = never."""
        return self.calibration.scope_threshold

    def predict(self, text: str) -> IntentPrediction:
        """Classifies one text; only its first 1,000 characters count."""
        return self.judged(self.scores((text,)))

    def judged(self, scores: Scores) -> IntentPrediction:
        """The calibrated prediction for the raw scores of one text."""
        probabilities = self.calibration.probabilities(scores)[0]
        best = int(probabilities.argmax())
        pairs = dict(zip(self.labels, probabilities.tolist(), strict=True))
        in_scope = float(self.calibration.in_scope(scores)[0])
        return IntentPrediction(self.labels[best], float(probabilities[best]), pairs, in_scope)

    def scores(self, texts: Sequence[str]) -> Scores:
        """Raw scores of some texts."""
        plain = [normalise(text[:MAX_CLASSIFIED_CHARACTERS]) for text in texts]
        margins = np.array([self._margins(text) for text in plain]).reshape(len(plain), len(self.labels))
        if self.kernel is None or self.encoder is None:
            return Scores(margins)
        return Scores(margins, self.kernel.outputs(self.encoder.encode(plain)))

    def _margins(self, text: str) -> Floats:
        """The SVM's raw margin per label for one normalised text."""
        total = self.bias
        for vocabulary, terms in ((self.words, word_terms(text)), (self.characters, character_terms(text))):
            columns, values = weigh(terms, vocabulary)
            if len(columns):
                total = total + values @ self.weights[columns]
        return total


def text_hash(text: str) -> int:
    """64 bits that identify a text as the classifier sees it."""
    plain = normalise(text[:MAX_CLASSIFIED_CHARACTERS])
    return int.from_bytes(hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest(), "big")
