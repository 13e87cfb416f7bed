"""Trained classifiers in a folder: one sub-folder each, named by content, with a manifest beside the file.

    REGISTRY/0123456789ab/model.npz       the classifier
    REGISTRY/0123456789ab/manifest.json   its sha256, tier, training data version, metrics, creation time, parent

The manifest's sha256 is compared before the file is opened; nothing is ever overwritten with other content.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controlplane.assistant.intent_model import IntentModel
from controlplane.assistant.intent_store import FORMAT, ModelFileError, load, parts, save

MODEL, MANIFEST = "model.npz", "manifest.json"
NAME_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a stored classifier. `digest` is its file's sha256; `parts` hash weights and calibration apart."""

    digest: str
    parts: dict[str, str]
    format: int
    tier: str
    created: str
    training_data: dict[str, Any]
    labels: int
    metrics: dict[str, Any]
    parent: str | None = None

    @property
    def name(self) -> str:
        """The sub-folder."""
        return self.digest[:NAME_LENGTH]


def register(
    model: IntentModel, registry: Path, created: datetime, metrics: dict[str, Any], source: str = ""
) -> tuple[Path, Manifest]:
    """Stores a classifier and its manifest; returns the sub-folder. The same content again keeps its first manifest."""
    folder = registry / model.digest[:NAME_LENGTH]
    if (folder / MANIFEST).is_file() and _read(folder).digest == model.digest:
        found, manifest = opened(folder)
        if found.digest == model.digest:
            return folder, manifest
    manifest = Manifest(
        digest=save(model, folder / MODEL),
        parts=parts(model),
        format=FORMAT,
        tier=model.tier,
        created=created.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        training_data={
            "sha256": model.training.data_sha256,
            "rows": model.training.rows,
            "seed": model.training.seed,
            "file": source,
        },
        labels=len(model.labels),
        metrics=metrics,
        parent=model.training.parent,
    )
    partial = folder / f"{MANIFEST}.{os.getpid()}.partial"
    partial.write_text(json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(folder / MANIFEST)
    return folder, manifest


def manifests(registry: Path) -> tuple[Manifest, ...]:
    """All classifiers of a registry, oldest first."""
    if not registry.is_dir():
        raise ModelFileError(f"no model registry at {registry}: make one with `controlplane assistant train --out`")
    found = [_read(path.parent) for path in registry.glob(f"*/{MANIFEST}")]
    return tuple(sorted(found, key=lambda manifest: (manifest.created, manifest.digest)))


def opened(path: Path) -> tuple[IntentModel, Manifest]:
    """The classifier of a sub-folder, of one of its two files, or of a registry that holds exactly one."""
    if not path.exists():
        raise ModelFileError(f"no model at {path}: give the folder of a model made by `assistant train`")
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and not (path / MANIFEST).is_file():
        inside = manifests(path)
        if len(inside) != 1:
            names = ", ".join(manifest.name for manifest in inside) or "none"
            raise ModelFileError(f"{path} holds {len(inside)} models ({names}): give the folder of one of them")
        folder = path / inside[0].name
    manifest = _read(folder)
    return load(folder / MODEL, manifest.digest), manifest


def _read(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelFileError(f"no manifest at {path}: give the folder of a model made by `assistant train`") from None
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"manifest {path} cannot be read ({error}): train the model again") from None
