"""An analysis of an experiment as a record: kept as an artefact, vouched for by the audit log, with the hash of the file that it rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from jobs.artefacts import keep
from jobs.compose import open_state, workspace_settings
from jobs.refused import Refused

KIND = "experiment"
EVENT = "experiment_recorded"


def file_hash(file: Path) -> str:
    """sha256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record(home: str | None, value: Mapping[str, Any], actor: str, path: str, now: datetime) -> str:
    """Keep an analysis; its id. The same one is kept once: Refused."""
    settings = workspace_settings(home, must_exist=True)
    summary = {key: item for key, item in value.items() if key not in ("report", "id")}
    name = f"{KIND}-{sha256_text(canonical(summary))[:12]}"
    verdicts = {f"{metric}/{arm}": row["verdict"] for metric, arm, row in rows_of(value)}
    with open_state(settings, now) as state:
        if any(row.artefact_id == name for row in state.artefacts(KIND)):
            raise Refused(f"{name} is recorded already")
        said = {"trusted": value["trusted"], "verdicts": verdicts}
        said["source"] = value.get("file_hash") or value.get("rollout")
        reason = "; ".join(f"{key} {word}" for key, word in verdicts.items())
        keep(state, (name, KIND, path), summary, (EVENT, actor, reason), said, now)
    return name


def rows_of(value: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(metric, arm, comparison) of an answer."""
    return [(name, arm, row) for name, metric in value["metrics"].items() for arm, row in metric["arms"].items()]
