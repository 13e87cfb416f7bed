"""A classifier as one file of plain arrays and JSON (npz): nothing in it can run when it is opened.

Rules
- A file is opened only if its bytes have the expected sha256; the same classifier always has the same bytes.
- The calibration is a part of its own: `parts` gives a hash of it and one of everything else, so two artefacts that differ
  only in calibration are seen to share their weights.
"""

import hashlib
import io
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.assistant.embedding import Encoder, open_encoder
from controlplane.assistant.intent_calibration import Calibration, Scores
from controlplane.assistant.intent_features import Vocabulary
from controlplane.assistant.intent_kernel import KernelRidge
from controlplane.assistant.intent_model import IntentModel, Training, Validation

FORMAT = 2


class ModelFileError(Exception):
    """A stored classifier is missing, changed or of another format."""


def sealed(model: IntentModel) -> IntentModel:
    """The model with the digest of the file that `save` would write."""
    return replace(model, digest=hashlib.sha256(dump(model)).hexdigest())


def parts(model: IntentModel) -> dict[str, str]:
    """sha256 of the calibration and of everything else."""
    uncalibrated = replace(model, calibration=Calibration(1.0), automation_threshold=1.0, validation=None)
    uncalibrated = replace(uncalibrated, training=replace(model.training, parent=None))
    return {"weights": hashlib.sha256(dump(uncalibrated)).hexdigest(), "calibration": model.calibration.digest}


def save(model: IntentModel, path: Path) -> str:
    """Writes the model; returns its sha256, which `load` asks for."""
    content = dump(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
    return hashlib.sha256(content).hexdigest()


def load(path: Path, expected_sha256: str) -> IntentModel:
    """Opens a stored model; raises `ModelFileError` if it is missing or not the expected one."""
    if not path.is_file():
        raise ModelFileError(f"no classifier at {path}: train one and save it there")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected_sha256:
        raise ModelFileError(f"classifier {path} has sha256 {found}, expected {expected_sha256}: train it again")
    return replace(_parse(content), digest=found)


def dump(model: IntentModel) -> bytes:
    """The file's bytes: arrays, and JSON for the rest."""
    arrays: dict[str, Any] = {
        "about": _text(
            {
                "format": FORMAT,
                "labels": model.labels,
                "calibration": asdict(model.calibration),
                "training": asdict(model.training),
                "automation_threshold": model.automation_threshold,
                "oos_label": model.oos_label,
                "encoder": model.encoder.version if model.encoder else None,
            }
        ),
        "words": _text(list(model.words.columns)),
        "word_idf": model.words.idf,
        "characters": _text(list(model.characters.columns)),
        "character_idf": model.characters.idf,
        "weights": model.weights,
        "bias": model.bias,
        "seen": model.seen,
    }
    if model.kernel:
        arrays |= {"centres": model.kernel.centres, "kernel_weights": model.kernel.weights}
    if model.validation:
        scores = model.validation.scores
        arrays |= {"held_out_margins": scores.margins.astype(np.float32), "held_out_truth": model.validation.truth}
        if scores.outputs is not None:
            arrays["held_out_outputs"] = scores.outputs.astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _parse(content: bytes) -> IntentModel:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(arrays["about"].tobytes())
    except (ValueError, KeyError, OSError) as error:
        raise ModelFileError(f"not a classifier of this program ({error}): train it again") from None
    if about.get("format") != FORMAT:
        raise ModelFileError(f"classifier format {about.get('format')}, this version reads {FORMAT}: train it again")
    words = json.loads(arrays["words"].tobytes())
    characters = json.loads(arrays["characters"].tobytes())
    calibration = about["calibration"]
    calibration["beta"] = tuple(calibration["beta"]) if calibration["beta"] else None
    calibration["scope"] = tuple(tuple(row) for row in calibration["scope"])
    kernel = KernelRidge(arrays["centres"], arrays["kernel_weights"]) if "centres" in arrays else None
    return IntentModel(
        labels=tuple(about["labels"]),
        words=Vocabulary({term: i for i, term in enumerate(words)}, arrays["word_idf"]),
        characters=Vocabulary({term: len(words) + i for i, term in enumerate(characters)}, arrays["character_idf"]),
        weights=arrays["weights"],
        bias=arrays["bias"],
        calibration=Calibration(**calibration),
        training=Training(**about["training"]),
        kernel=kernel,
        encoder=_encoder(about["encoder"]) if kernel else None,
        validation=_validation(arrays),
        seen=arrays["seen"],
        automation_threshold=about["automation_threshold"],
        oos_label=about["oos_label"],
    )


def _validation(arrays: dict[str, Any]) -> Validation | None:
    if "held_out_truth" not in arrays:
        return None
    outputs = arrays.get("held_out_outputs")
    margins = arrays["held_out_margins"].astype(np.float64)
    return Validation(
        Scores(margins, None if outputs is None else outputs.astype(np.float64)), arrays["held_out_truth"]
    )


def _encoder(version: str) -> Encoder:
    encoder = open_encoder()
    if encoder.version != version:
        raise ModelFileError(
            f"classifier was trained on embeddings {version}, installed are {encoder.version}: train it again"
        )
    return encoder


def _text(value: object) -> Any:
    return np.frombuffer(
        json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass"), np.uint8
    )
