"""Several drills in a row: which, where, told as a table or as one object, and kept in the record of a workspace."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from controlplane.settings import SettingsError
from controlplane.simulation.incident_catalogue import INCIDENTS
from controlplane.simulation.incidents import Incident
from controlplane.store.state_rows import AuditEntry, Commit
from jobs.compose import open_state, workspace_settings
from jobs.console import stderr
from jobs.drill import Outcome, rehearse
from jobs.drill_checks import Times
from jobs.drill_stage import policy_of

PIPE_WIDTH = 220  # of a table that no person looks at


def chosen(names: Sequence[str]) -> list[Incident]:
    """The incidents of these names, in the catalogue's order; all of them without a name. Raises SettingsError for an unknown one."""
    unknown = [name for name in names if name not in INCIDENTS]
    if unknown:
        raise SettingsError(
            f"no drill '{unknown[0]}': `controlplane drill --list` shows the {len(INCIDENTS)} there are"
        )
    return [item for item in INCIDENTS.values() if not names or item.name in names]


def run_drills(incidents: Sequence[Incident], keep: Path | None, as_json: bool) -> tuple[list[Outcome], float]:
    """Carry out each incident in a workspace of its own below `keep` (else below a folder that is removed); outcomes and seconds."""
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with _folder(keep) as folder, _bar(len(incidents), as_json) as progress:
        for number, incident in enumerate(incidents):
            progress(incident.name, number)
            outcomes.append(_rehearsed(incident, folder, partial(_advance, progress, incident.name, number)))
        progress("done", len(incidents))
    return outcomes, time.monotonic() - began


def _advance(progress: Callable[[str, float], None], name: str, before: int, part: float) -> None:
    progress(name, before + part)


def _rehearsed(incident: Incident, folder: Path, progress: Callable[[float], None]) -> Outcome:
    """One drill; whatever breaks it off is its failure and does not stop the others."""
    try:
        return rehearse(incident, folder / incident.name, progress)
    except Exception as error:
        return Outcome(incident, None, (f"the drill broke off: {type(error).__name__}: {error}",), 0.0)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        folder = Path(tempfile.mkdtemp(prefix="controlplane-drill-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise SettingsError(
            f"{keep} is not an empty folder: name a new one with --keep, drills never overwrite anything"
        )
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


@contextmanager
def _bar(total: int, as_json: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on stderr; silent where stderr is no terminal and the caller wants JSON."""
    columns = (TextColumn("{task.description:26}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, disable=as_json and not sys.stderr.isatty()) as bar:
        task = bar.add_task("drill", total=total)
        yield lambda name, done: bar.update(task, description=name, completed=done)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """One drill in plain values; times are minutes of its story. What was seen is left out when it broke off."""
    told: dict[str, Any] = {
        "name": outcome.incident.name,
        "injected": outcome.incident.told,
        "expected": outcome.incident.expected,
        "covers": list(outcome.incident.covers),
        "ok": outcome.ok,
        "failures": list(outcome.failures),
        "seconds": round(outcome.seconds, 2),
    }
    seen = outcome.seen
    if seen is None:
        return told
    return told | {
        "policy": policy_of(outcome.incident).hash,
        "state": str(seen.state),
        "decisions": [{"event": event, "trigger": trigger} for event, trigger in seen.decisions],
        "minutes": asdict(seen.times),
        "customers_exposed": None if seen.incident is None else seen.incident.customers_exposed,
        "verdicts": seen.verdicts,
        "naive_standard_errors": None if seen.naive is None else round(seen.naive, 2),
        "audit_ok": seen.audit_ok,
    }


def result(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """All drills in plain values."""
    failed = [outcome.incident.name for outcome in outcomes if not outcome.ok]
    return {
        "ok": not failed,
        "drills": [outcome_json(outcome) for outcome in outcomes],
        "failed": failed,
        "seconds": round(seconds, 1),
    }


def show_outcomes(outcomes: Sequence[Outcome], seconds: float) -> None:
    """The table for people, on stdout."""
    table = Table("drill", "injected", "expected", "seen", _TIMES, Column("exposed", justify="right"), "ok")
    for outcome in outcomes:
        seen = outcome.seen
        exposed = None if seen is None or seen.incident is None else seen.incident.customers_exposed
        table.add_row(
            outcome.incident.name,
            outcome.incident.told,
            outcome.incident.expected,
            "\n".join((*(() if seen is None else (seen.brief,)), *outcome.failures)),
            "" if seen is None else _times(seen.times),
            "" if exposed is None else str(exposed),
            "ok" if outcome.ok else "FAILED",
        )
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(table)
    good = sum(outcome.ok for outcome in outcomes)
    console.print(f"{good} of {len(outcomes)} drills as expected, {seconds:.0f} s", highlight=False)


_TIMES = "onset > detected > cut > verified > alerted (minutes)"


def _times(times: Times) -> str:
    if times.detected is None:
        return ""
    found = (times.onset, times.detected, times.cut, times.verified, times.alerted)
    return " > ".join("-" if moment is None else f"{moment:g}" for moment in found)


def show_list(incidents: Sequence[Incident]) -> None:
    """The catalogue for people, on stdout."""
    table = Table("drill", "injected", "expected", "trap")
    for item in incidents:
        table.add_row(item.name, item.told, item.expected, ", ".join(item.covers))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def list_json(incidents: Sequence[Incident]) -> dict[str, Any]:
    """The catalogue in plain values."""
    rows = [
        {"name": item.name, "injected": item.told, "expected": item.expected, "covers": list(item.covers)}
        for item in incidents
    ]
    return {"drills": rows}


def record(home: str | None, found: dict[str, Any], actor: str, now: datetime) -> None:
    """Write the drills to the audit log of an existing workspace: which, under which policy text, what was seen, and what failed."""
    settings = workspace_settings(home, must_exist=True)
    told = [
        {key: row[key] for key in ("name", "ok", "failures", "policy", "state", "decisions", "minutes") if key in row}
        for row in found["drills"]
    ]
    good = sum(row["ok"] for row in told)
    reason = f"{good} of {len(told)} drills as expected"
    entry = AuditEntry(actor, "drill", "drills", reason, {"drills": told, "failed": found["failed"]})
    with open_state(settings, now) as state:
        state.commit(Commit(audit=(entry,)), now)
