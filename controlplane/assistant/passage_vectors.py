"""Embeddings of a knowledge base's windows, computed once a version and kept as a file that is verified before use.

Rules
- The file names what it was made from: the knowledge version, the encoder version and the hash of the windows' texts (so a changed
  cutting rule counts). Anything else than exactly these three is another artefact and is never searched with.
- A file is read without pickle and checked: names, shape, unit length, and the sha256 of its numbers. `load_or_compute` writes a file
  that fails anew; `load` refuses it and says why.
- Files appear by rename, so a reader sees a whole file or none.
"""

import hashlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controlplane.assistant.chunking import WINDOW_WORDS, windows
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import Passage

FORMAT = "1"
UNIT_TOLERANCE = 1e-3


class TextEncoder(Protocol):
    """Whatever makes unit vectors of texts; `version` names its weights by content."""

    @property
    def version(self) -> str:
        """Hash of the model and its vocabulary."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector per text, (n, dimensions)."""
        ...


class VectorFileError(ValueError):
    """A file of passage embeddings cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """One unit vector per window of a knowledge base, in the order of `all_windows`: (windows, dimensions) float32."""

    knowledge: str
    encoder: str
    texts: str
    vectors: NDArray[np.float32]

    @property
    def digest(self) -> str:
        """sha256 of the numbers and of what they were made from."""
        head = f"{FORMAT}|{self.knowledge}|{self.encoder}|{self.texts}|{self.vectors.shape}"
        return hashlib.sha256(head.encode() + np.ascontiguousarray(self.vectors, "<f4").tobytes()).hexdigest()


def all_windows(knowledge: Knowledge, size: int = WINDOW_WORDS) -> tuple[tuple[Passage, ...], NDArray[np.intp]]:
    """The windows of every page in the order of the pages, and each window's page number."""
    cut = [windows(page, size) for page in knowledge.passages]
    owners = [number for number, pieces in enumerate(cut) for _ in pieces]
    return tuple(piece for pieces in cut for piece in pieces), np.array(owners, dtype=np.intp)


def compute(knowledge: Knowledge, encoder: TextEncoder) -> PassageVectors:
    """Encodes every window of the knowledge base."""
    texts = _texts(knowledge)
    return PassageVectors(knowledge.version, encoder.version, _hash(texts), encoder.encode(texts))


def load_or_compute(knowledge: Knowledge, encoder: TextEncoder, folder: Path) -> PassageVectors:
    """The embeddings from `folder`, computed and saved there if they are not there unharmed."""
    path = folder / f"passages-{knowledge.version[:16]}-{encoder.version[:16]}.npz"
    if path.is_file():
        try:
            return load(path, knowledge, encoder)
        except VectorFileError:
            path.unlink(missing_ok=True)
    made = compute(knowledge, encoder)
    save(made, path)
    return made


def save(made: PassageVectors, path: Path) -> str:
    """Writes the file and returns its digest."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = np.array([FORMAT, made.knowledge, made.encoder, made.texts, made.digest])
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(file, head=head, vectors=made.vectors.astype("<f4"))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return made.digest


def load(path: Path, knowledge: Knowledge, encoder: TextEncoder) -> PassageVectors:
    """The embeddings of exactly this knowledge by exactly this encoder. Raises `VectorFileError` for any other or harmed file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head, vectors = [str(text) for text in stored["head"]], np.asarray(stored["vectors"], dtype=np.float32)
        form, made_of, made_by, texts, digest = head
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise VectorFileError(f"{path}: not a readable file of passage embeddings ({error}); {_REMEDY}") from None
    for what, found, wanted in (
        ("format", form, FORMAT),
        ("knowledge base", made_of, knowledge.version),
        ("encoder", made_by, encoder.version),
        ("windows", texts, _hash(_texts(knowledge))),
    ):
        if found != wanted:
            raise VectorFileError(f"{path}: made from {what} {found[:12]}, needed {wanted[:12]}; {_REMEDY}")
    made = PassageVectors(made_of, made_by, texts, vectors)
    if made.digest != digest:
        raise VectorFileError(f"{path}: its numbers do not match its sha256; {_REMEDY}")
    check(made, knowledge)
    return made


def check(made: PassageVectors, knowledge: Knowledge) -> None:
    """Raises `VectorFileError` unless there is one unit vector for each window of `knowledge`."""
    texts = _texts(knowledge)
    count = len(texts)
    if (
        made.knowledge != knowledge.version
        or made.texts != _hash(texts)
        or made.vectors.ndim != 2
        or len(made.vectors) != count
    ):
        raise VectorFileError(
            f"embeddings of shape {made.vectors.shape} of knowledge {made.knowledge[:12]} do not fit the {count} windows of "
            f"{knowledge.version[:12]}; {_REMEDY}"
        )
    if not np.allclose(np.linalg.norm(made.vectors, axis=1), 1.0, atol=UNIT_TOLERANCE):
        raise VectorFileError(f"embeddings of knowledge {made.knowledge[:12]} are not of unit length; {_REMEDY}")


def _texts(knowledge: Knowledge) -> list[str]:
    """What is encoded: each window with its page's title, which names the subject that a later window takes for granted."""
    return [f"{piece.title}. {piece.body}" for piece in all_windows(knowledge)[0]]


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


_REMEDY = "delete the file, it is computed anew from the knowledge base"
