"""Data sets in the workspace: add, append, find, load. Rows lie under their hash, the state says which name is at which version.

What is loaded is checked three times: the rows have the hash that names them, the state knows the version, and the audit log says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controlplane.evaluation.cases import Case
from controlplane.evaluation.datasets import HEADER, DataSet, read_text
from controlplane.store import content_files
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_evaluation import DATASET_EVENT, DatasetVersion
from jobs.refused import Refused

SHOWN = 12  # digits of a version that people see
SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version with its rows."""

    row: DatasetVersion
    rows: DataSet


def add(
    state: StateWriter, folder: Path, name: str, cases: Iterable[Case], origin: str, actor: str, now: datetime
) -> tuple[DatasetVersion, bool]:
    """Make `cases` the newest version of `name`; False beside it when it is that already. Raises CaseError, Refused for no rows."""
    found = DataSet.of(cases, name)
    if not found.cases:
        raise Refused(f"data set {name} would have no row: name a file with rows")
    versions = state.dataset_versions(name)
    if versions and versions[-1].version == found.version:
        content_files.save(folder, found.text, HEADER)  # also where the file had gone
        return versions[-1], False
    version = content_files.save(folder, found.text, HEADER)
    row = DatasetVersion(
        name=name,
        version=version,
        rows=len(found.cases),
        parent=versions[-1].version if versions else None,
        origin=origin,
        actor=actor,
        created_at=now,
        summary=found.summary(),
    )
    state.add_dataset_version(row)
    return row, True


def append(
    state: StateWriter,
    folder: Path,
    name: str,
    cases: Iterable[Case],
    origin: str,
    actor: str,
    now: datetime,
    joined: Callable[[Case, Case], Case] | None = None,
) -> tuple[DatasetVersion, int]:
    """The newest version of `name` and these rows as its next version; how many were new. A row that is there already stays as it is, but for what
    `joined` makes of it and of the row that comes."""
    before = {case.id: case for case in load(state, folder, name).rows.cases}
    new = 0
    for case in cases:
        held = before.setdefault(case.id, case)
        new += held is case
        if held is not case and joined is not None:
            before[case.id] = joined(held, case)
    row, _ = add(state, folder, name, list(before.values()), origin, actor, now)
    return row, new


def find(state: StateReader, wanted: str) -> DatasetVersion:
    """The version that NAME or NAME@VERSION (eight digits or more) means. Raises Refused with what there is."""
    name, _, prefix = wanted.partition("@")
    versions = state.dataset_versions(name)
    if not versions:
        known = sorted({row.name for row in state.dataset_versions()})
        raise Refused(
            f"there is no data set {name!r}: `controlplane dataset add {name} FILE` makes one"
            + (f"; there are {', '.join(known)}" if known else "")
        )
    if not prefix:
        return versions[-1]
    if len(prefix) < SHORTEST:
        raise Refused(f"{wanted!r}: a version has at least {SHORTEST} digits; `controlplane dataset list` shows them")
    for row in reversed(versions):
        if row.version.startswith(prefix):
            return row
    raise Refused(f"data set {name} has no version {prefix}: `controlplane dataset list` shows them")


def load(state: StateReader, folder: Path, wanted: str) -> Loaded:
    """The rows of NAME or NAME@VERSION. Raises Refused for an unknown one, ContentError where the rows are gone or were changed."""
    return load_version(state, folder, find(state, wanted))


def load_version(state: StateReader, folder: Path, row: DatasetVersion) -> Loaded:
    """The rows of a version; as `load`."""
    said = {"name": row.name, "version": row.version, "rows": row.rows, "parent": row.parent}
    if said not in state.vouched(DATASET_EVENT, row.name):
        raise Refused(
            f"the audit log does not say that data set {row.name} was at version {row.version[:SHOWN]}: "
            f"the state was changed; add the rows again under another name"
        )
    return Loaded(row, read_text(content_files.load(folder, row.version, HEADER), f"{row.name}@{row.version[:SHOWN]}"))


def registered(state: StateReader, version: str) -> DatasetVersion | None:
    """The newest registration of that version under any name."""
    return next((row for row in reversed(state.dataset_versions()) if row.version == version), None)
