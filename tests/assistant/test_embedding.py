"""The sentence encoder: what a vector means, one thread of truth for batches, and files that must be the expected ones."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.assistant import embedding
from controlplane.assistant.embedding import DIMENSIONS, EmbeddingsMissing, Encoder, open_encoder

TEXTS = ["I lost my card", "my card has been stolen", "what is the weather", "x" * 9_000, "", "ü 漢字 🙂", "a\ud800b"]
needs_extra = pytest.mark.skipif(not embedding.available(), reason="the extra `embeddings` is not installed")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return open_encoder()


@needs_extra
def test_vectors_have_unit_length_and_meaning(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
    assert encoder.encode([]).shape == (0, DIMENSIONS)


@needs_extra
def test_a_text_has_the_same_vector_alone_and_in_any_batch(encoder: Encoder) -> None:
    texts = [f"{'please ' * (n % 7)}where is payment {n}" for n in range(40)]
    together = encoder.encode(texts)
    alone = np.vstack([encoder.encode([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-4
    assert encoder.encode(texts[::-1])[::-1] == pytest.approx(together, abs=1e-4)


@needs_extra
@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(max_size=80), max_size=4))
def test_any_text_gets_a_finite_vector(texts: list[str]) -> None:
    vectors = open_encoder().encode(texts)
    assert np.isfinite(vectors).all()
    assert vectors.shape == (len(texts), DIMENSIONS)


@needs_extra
def test_progress_counts_every_text(encoder: Encoder) -> None:
    heard: list[int] = []
    encoder.encode([str(n) for n in range(37)], heard.append)
    assert sum(heard) == 37
    assert len(heard) > 1


@pytest.fixture
def afresh() -> Iterator[None]:
    open_encoder.cache_clear()
    yield
    open_encoder.cache_clear()


@pytest.mark.usefixtures("afresh")
def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *rest: object, **more: object) -> object:
        if name == "onnxruntime":
            raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(EmbeddingsMissing, match=r"need the package onnxruntime: install the extra `embeddings`"):
        open_encoder()


def test_an_absent_model_package_is_named() -> None:
    with pytest.raises(EmbeddingsMissing, match=r"no_such_package.*install the extra"):
        embedding.locate("no_such_package", "model.onnx")


def test_a_swapped_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(EmbeddingsMissing, match=r"model\.onnx is missing"):
        embedding.read_checked(path, "0")
    path.write_bytes(b"another model")
    with pytest.raises(EmbeddingsMissing, match=r"model\.onnx has sha256 .*, expected 0000"):
        embedding.read_checked(path, "0000")
