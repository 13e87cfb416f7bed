"""`controlplane dataset add | append | list | show | diff | export`: from options to data sets and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.evaluation.cases import Case
from controlplane.evaluation.datasets import difference
from controlplane.evaluation.rows_from import Columns, cases_of_facts, cases_of_file
from controlplane.evaluation.shipped import shipped_cases
from controlplane.store.state import StateReader
from controlplane.store.state_append import LostRace
from controlplane.store.state_evaluation import DatasetVersion
from controlplane.store.state_rows import IncidentRow, to_text
from jobs import datasets, incident_view, work
from jobs.compose import open_state, workspace_settings
from jobs.facts_query import facts_query
from jobs.refused import Refused

SHIPPED = "shipped"
BEFORE_DETECTION = timedelta(hours=1)  # an incident whose onset is not known


def add_command(
    home: str | None, name: str, files: Sequence[Path], columns: Columns, origin: str | None, actor: str, now: datetime
) -> dict[str, Any]:
    """The new version of `name`, made of the rows of all files. Raises CaseError, Refused."""
    cases = [case for path in files for case in cases_of_file(path, columns, origin)]
    said = origin or f"files {', '.join(path.name for path in files)}"
    return _add(home, name, cases, said, actor, now)


def add_shipped(home: str | None, name: str, actor: str, now: datetime) -> dict[str, Any]:
    """The rows that come with the program, as a data set of this workspace."""
    return _add(home, name, shipped_cases(), "shipped with the program", actor, now)


def add_history(home: str | None, name: str, limit: int, actor: str, now: datetime) -> dict[str, Any]:
    """Rows of ingested conversations, a stable sample of at most `limit`. Raises Refused when there are none."""
    rows = facts_query(home, "datasets/history", {"limit": limit})
    if not rows:
        raise Refused("no ingested conversation has a question: `controlplane ingest FILE` first")
    return _add(home, name, cases_of_facts(rows, "conversation:{id}"), "ingested conversations", actor, now)


def _add(home: str | None, name: str, cases: Sequence[Case], origin: str, actor: str, now: datetime) -> dict[str, Any]:
    need_name(name)
    settings = workspace_settings(home)
    with open_state(settings, now) as state:
        try:
            row, new = datasets.add(state, settings.workspace.datasets, name, cases, origin, actor, now)
        except LostRace as error:
            raise Refused(str(error)) from None
    return version_json(row) | {"new": new}


def append_command(
    home: str | None,
    name: str,
    incident: str | None,
    conversations: Sequence[str],
    limit: int,
    actor: str,
    now: datetime,
) -> dict[str, Any]:
    """The next version of `name`, with the failures of an incident (as `incident learn`) or with named conversations. Raises Refused."""
    if (incident is None) == (not conversations):
        raise Refused("name either --from-incident ID or --from-conversation ID")
    settings = workspace_settings(home, must_exist=True)
    if incident is not None:
        asked = {"incident": incident, "data": name, "limit": limit, "actor": actor}
        added = dict(work.do(home, "incident_learn", asked, now))["added"]
        with open_state(settings, now) as state:
            return version_json(datasets.find(state, name)) | {"added": added}
    with open_state(settings, now) as state:
        datasets.find(state, name)
        cases = [case for key in conversations for case in _of_conversation(home, key)]
        origin = f"conversations {', '.join(conversations)}"
        try:
            row, added = datasets.append(state, settings.workspace.datasets, name, cases, origin, actor, now)
        except LostRace as error:
            raise Refused(str(error)) from None
    return version_json(row) | {"added": added}


def find_incident(state: StateReader, incident_id: str) -> IncidentRow:
    """The incident of that id, or of its unique beginning. Raises Refused."""
    return incident_view.find(state, incident_id)


def incident_span(row: IncidentRow) -> tuple[datetime, datetime]:
    """From the likely onset to the cut: when customers met what the incident is about."""
    return row.onset_at or row.detected_at - BEFORE_DETECTION, row.cut_at or row.detected_at


def _of_conversation(home: str | None, conversation: str) -> list[Case]:
    found = facts_query(home, "datasets/conversation", {"id": conversation})
    if not found:
        raise Refused(f"there is no conversation {conversation!r} with a question in the facts")
    return cases_of_facts(found, "conversation:{id}")


def list_command(home: str | None, now: datetime) -> list[DatasetVersion]:
    """All versions of all data sets, oldest first."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        return state.dataset_versions()


def load_command(home: str | None, wanted: str, now: datetime) -> datasets.Loaded:
    """A version with its rows. Raises Refused, ContentError."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        return datasets.load(state, settings.workspace.datasets, wanted)


def diff_command(home: str | None, before: str, after: str, now: datetime) -> dict[str, Any]:
    """What changed from one version to another. Raises Refused, ContentError."""
    first, second = load_command(home, before, now), load_command(home, after, now)
    found = difference(first.rows, second.rows)
    return {
        "before": f"{first.row.name}@{first.row.version}",
        "after": f"{second.row.name}@{second.row.version}",
        **{key: list(value) for key, value in asdict(found).items()},
    }


def diff_text(value: dict[str, Any]) -> str:
    """A difference for people."""
    marks = {"added": "+", "removed": "-", "changed": "~"}
    counts = ", ".join(f"{len(value[key])} {key}" for key in marks)
    lines = [f"{mark} {row}" for key, mark in marks.items() for row in value[key]]
    return "\n".join([f"{value['before'][:40]} -> {value['after'][:40]}: {counts}", *lines])


def version_json(row: DatasetVersion) -> dict[str, Any]:
    """A version as plain values."""
    return asdict(row) | {"created_at": to_text(row.created_at)}


def version_line(row: DatasetVersion) -> str:
    """A version in one line."""
    return f"{row.name}@{row.version[: datasets.SHOWN]}  {row.rows:6} rows  {row.created_at:%Y-%m-%d %H:%M}Z  {row.actor}  {row.origin}"


def need_name(name: str) -> None:
    """Raises Refused for a name that no data set can have."""
    if not name or not all(c.isalnum() or c in "._-" for c in name) or not name[0].isalnum():
        raise Refused(
            f"{name!r} is no name of a data set: letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
