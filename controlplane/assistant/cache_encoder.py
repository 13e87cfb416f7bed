"""Vectors of questions for the cache: sentence embeddings where the extra is installed, TF-IDF otherwise.

Rules
- TF-IDF: words, pairs of words and character 3- to 4-grams inside word boundaries, hashed (CRC-32) into `DIMENSIONS` columns,
  1 + log(frequency) times a smoothed inverse document frequency of some example texts, unit length.
- A text without any term is the zero vector: it is near nothing.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from controlplane.assistant.cache import Encode, Vector
from controlplane.assistant.text import normalise, tokens

DIMENSIONS = 4096
GRAMS = (3, 4)


class TfidfEncoder:
    """Hashed TF-IDF with the document frequencies of some texts."""

    def __init__(self, examples: Sequence[str]) -> None:
        """`examples` say which terms are common; without any, all terms weigh the same."""
        frequency = np.zeros(DIMENSIONS)
        for text in examples:
            frequency[list({_column(term) for term in _terms(text)})] += 1
        self._idf = (np.log((1 + len(examples)) / (1 + frequency)) + 1).astype(np.float32)

    def __call__(self, text: str) -> Vector:
        """The unit vector (`DIMENSIONS`,) of one text."""
        counts = Counter(_column(term) for term in _terms(text))
        vector = np.zeros(DIMENSIONS, dtype=np.float32)
        if counts:
            columns = list(counts)
            vector[columns] = (1 + np.log(list(counts.values()))) * self._idf[columns]
            vector /= np.linalg.norm(vector)
        return vector


def embedding_encoder() -> Encode:
    """Sentence embeddings; raises `EmbeddingsMissing` with the remedy where the extra is not installed."""
    from controlplane.assistant.embedding import open_encoder

    encoder = open_encoder()

    def encode(text: str) -> Vector:
        vectors: Vector = encoder.encode([text])
        return np.asarray(vectors[0], dtype=np.float32)

    return encode


def _terms(text: str) -> list[str]:
    plain = normalise(text)
    words = tokens(plain)
    terms = [*words, *(f"{first} {second}" for first, second in pairwise(words))]
    for word in words:
        padded = f" {word} "
        for size in GRAMS:
            terms += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return terms


def _column(term: str) -> int:
    return zlib.crc32(term.encode()) % DIMENSIONS
