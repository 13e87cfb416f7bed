"""Several drills in a row: which, where, and told as a table or as one object."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from controlplane.settings import SettingsError
from controlplane.simulation.incident_catalogue import INCIDENTS
from controlplane.simulation.incidents import Incident
from jobs.console import stderr
from jobs.drill import Outcome, rehearse
from jobs.drill_checks import Seen, Times
from jobs.drill_record import Last
from jobs.drill_stage import policy_of

PIPE_WIDTH = 220  # of a table that no person looks at
ALL = "all"


def chosen(names: Sequence[str]) -> list[Incident]:
    """The incidents of these names, in the catalogue's order; without a name, or by the name `all`, all of them.

    Raises SettingsError for an unknown one, and for `all` beside others.
    """
    if ALL in names:
        if set(names) != {ALL}:
            raise SettingsError("name drills or say all, not both")
        names = ()
    unknown = [name for name in names if name not in INCIDENTS]
    if unknown:
        raise SettingsError(
            f"no drill '{unknown[0]}': `controlplane drill --list` shows the {len(INCIDENTS)} there are"
        )
    return [item for item in INCIDENTS.values() if not names or item.name in names]


def run_drills(incidents: Sequence[Incident], keep: Path | None, as_json: bool, outcomes: list[Outcome]) -> float:
    """Carry out each incident in a workspace of its own below `keep` (else below a folder that is removed); how many seconds that took.

    Each outcome joins `outcomes` as it comes, so an interruption leaves those that were finished.
    """
    began = time.monotonic()
    with _folder(keep) as folder, _bar(len(incidents), as_json) as progress:
        for number, incident in enumerate(incidents):
            progress(incident.name, number)
            outcomes.append(_rehearsed(incident, folder, partial(_advance, progress, incident.name, number)))
        progress("done", len(incidents))
    return time.monotonic() - began


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
        "actions": [asdict(one) for one in seen.contained],
        "contained": _all_of(seen, [one.contained for one in seen.contained]),
        "verified": _all_of(seen, [one.verified is not None for one in seen.contained]),
        "minutes": asdict(seen.times),
        "customers_exposed": None if seen.incident is None else seen.incident.customers_exposed,
        "told": None if seen.incident is None else seen.told,
        "lost": _lost(seen),
        "never_logged": seen.lost.never_logged,
        "records": {key: getattr(seen.lost, key) for key in ("landed", "stored", "duplicates", "quarantined")},
        "messages": seen.lost.messages,
        "verdicts": seen.verdicts,
        "naive_standard_errors": None if seen.naive is None else round(seen.naive, 2),
        "heartbeat_seconds": {"median": round(median(seen.beats), 3), "longest": round(max(seen.beats), 3)},
    }


def _all_of(seen: Seen, each: Sequence[bool]) -> bool | None:
    """Whether it holds of everything that was done; None where there was nothing to be done and nothing was."""
    return all(each) if seen.contained else None


def _lost(seen: Seen) -> dict[str, int]:
    return {"records": seen.lost.records, "messages": seen.lost.untold, "audit": seen.lost.audit}


def result(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """All drills in plain values, and the sum: of those in which something was to be done, how many were contained and verified; what was lost."""
    failed = [outcome.incident.name for outcome in outcomes if not outcome.ok]
    rows = [outcome_json(outcome) for outcome in outcomes]
    whole = [row for row in rows if "lost" in row]
    return {
        "ok": not failed,
        "drills": rows,
        "failed": failed,
        "summary": {
            "drills": len(rows),
            "as_expected": len(rows) - len(failed),
            "acted": sum(row["contained"] is not None for row in whole),
            "contained": sum(row["contained"] is True for row in whole),
            "verified": sum(row["verified"] is True for row in whole),
            "told": sum(row["contained"] is not None and row["told"] is True for row in whole),
            "lost": {key: sum(abs(row["lost"][key]) for row in whole) for key in ("records", "messages", "audit")},
            "broke_off": len(rows) - len(whole),
        },
        "seconds": round(seconds, 1),
    }


def show_outcomes(outcomes: Sequence[Outcome], seconds: float) -> None:
    """The table for people, on stdout."""
    table = Table("drill", "injected", "expected", "seen", _TIMES, Column("exposed", justify="right"), "lost", "ok")
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
            "" if seen is None else "nothing" if seen.lost.nothing else "SEE LEFT",
            "ok" if outcome.ok else "FAILED",
        )
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(table)
    console.print(closing_words(result(outcomes, seconds)["summary"], seconds), highlight=False)


def closing_words(summary: Mapping[str, Any], seconds: float) -> str:
    """The sum in a line."""
    lost = ", ".join(f"{n} {what}" for what, n in summary["lost"].items() if n) or "nothing"
    return (
        f"{summary['as_expected']} of {summary['drills']} drills as expected; {summary['contained']} of {summary['acted']} contained, "
        f"{summary['verified']} verified, {lost} lost; {seconds:.0f} s"
    )


_TIMES = "onset > detected > cut > verified > alerted (minutes)"


def _times(times: Times) -> str:
    if times.detected is None:
        return ""
    found = (times.onset, times.detected, times.cut, times.verified, times.alerted)
    return " > ".join("-" if moment is None else f"{moment:g}" for moment in found)


def show_list(incidents: Sequence[Incident], last: Mapping[str, Last]) -> None:
    """The catalogue for people, on stdout, with when each drill was last carried out in the workspace."""
    table = Table("drill", "injected", "expected", "trap", "last drilled (UTC)")
    for item in incidents:
        words = last[item.name].words if item.name in last else "never"
        table.add_row(item.name, item.told, item.expected, ", ".join(item.covers), words)
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


def list_json(incidents: Sequence[Incident], last: Mapping[str, Last]) -> dict[str, Any]:
    """The catalogue in plain values; `last_drilled` is null for what was never drilled in the workspace."""
    rows = [
        {
            "name": item.name,
            "injected": item.told,
            "expected": item.expected,
            "covers": list(item.covers),
            "last_drilled": last[item.name].plain() if item.name in last else None,
        }
        for item in incidents
    ]
    return {"drills": rows, "never": [row["name"] for row in rows if row["last_drilled"] is None]}
