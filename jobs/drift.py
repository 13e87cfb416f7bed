"""The drift analysis of two windows: numbers on all rows that decide, when it began, what came with it, and Evidently's report beside them.

The rows of both windows are exported by SQL to Parquet (features only: no content), the gate numbers are computed at once, and Evidently draws
its report in a process of its own, because its import alone takes ten seconds. `start` returns as soon as that process runs and the timeline is
made; `DriftRun.finish` waits for it, records the artefact with the audit row that vouches for it, and puts one message into the outbox where the
policy wants one. `run` does both. A report that fails is a recorded fact and takes nothing away from the numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb

from controlplane.analysis.drift import DriftResult, DriftSettings
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.policy import Policy
from controlplane.store.state_rows import AuditEntry, Commit
from jobs import drift_timeline
from jobs.drift_alert import message
from jobs.drift_distributions import distribution
from jobs.drift_effects import effects
from jobs.drift_reference import Reference
from jobs.drift_refused import refused, with_refused
from jobs.drift_rows import CURRENT, REFERENCE, Rows, compared, export
from jobs.drift_windows import Window, iso, known_until
from jobs.files import write_whole

__all__ = ["DriftOutcome", "DriftRun", "Plan", "Window", "run", "start"]

KIND = "drift"
EVENT = "drift_recorded"
REPORT_TIMEOUT_SECONDS = 600.0


class Recorder(Protocol):
    """Keeps a job's result; the state writer does."""

    def record_artefact(
        self, artefact_id: str, kind: str, path: str, summary: Mapping[str, Any], now: datetime
    ) -> None:
        """Keep a new version of an artefact."""

    def commit(self, change: Commit, now: datetime) -> None:
        """Write the audit row and the message."""


class CursorSource(Protocol):
    """Gives a cursor of the facts; the warehouse does."""

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for the calling thread."""


class DriftDeps(Protocol):
    """What the job needs: the workspace, the facts and a recorder."""

    @property
    def home(self) -> Path:
        """The workspace folder; reports go to reports/drift/<id> in it."""

    @property
    def warehouse(self) -> CursorSource:
        """Where the facts are."""

    @property
    def state(self) -> Recorder:
        """Where the artefact is recorded."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about an analysis but its windows. `tell`: put a message into the outbox; `alert_columns` empty: about any column."""

    trigger: str = "person"
    actor: str = "drift"
    reference: Reference | None = None
    settings: DriftSettings = field(default_factory=DriftSettings)
    alert_columns: tuple[str, ...] = ()
    policy_hash: str = ""
    tell: bool = False
    report: bool = True
    dashboard_url: str | None = None


def settings_of(policy: Policy) -> DriftSettings:
    """The policy's thresholds."""
    drift = policy.drift
    return DriftSettings(
        numeric=drift.numeric,
        categorical=drift.categorical,
        alpha=drift.alpha,
        missing=drift.missing,
        min_rows=drift.min_rows,
    )


@dataclass(frozen=True, slots=True)
class DriftOutcome:
    """A finished analysis: its id, folder, numbers, all that was recorded. `report_error`: why the report that was asked for is not there."""

    artefact_id: str
    folder: Path
    result: DriftResult
    report_error: str | None
    summary: Mapping[str, Any]


class DriftRun:
    """A running analysis: the numbers are there, Evidently's report is on its way."""

    def __init__(self, deps: DriftDeps, now: datetime, folder: Path, plan: Plan) -> None:
        self.artefact_id = folder.name
        self.result = DriftResult(())
        self._deps, self._now, self._folder, self._plan = deps, now, folder, plan
        self._summary: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def draw(self) -> None:
        """Start the process that draws the report."""
        argv = [sys.executable, "-m", "controlplane.analysis.drift_report"]
        files = [str(self._folder / name) for name in ("reference.parquet", "current.parquet")]
        with (self._folder / "report.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*argv, *files, str(self._folder), "--settings", json.dumps(asdict(self._plan.settings))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "DO_NOT_TRACK": "1"},
            )

    def found(self, result: DriftResult, summary: dict[str, Any]) -> None:
        """Take what the numbers say."""
        self.result, self._summary = result, summary

    def done(self) -> bool:
        """Whether the report's process has ended; `finish` then returns at once."""
        return self._process is None or self._process.poll() is not None

    def finish(self, timeout: float = REPORT_TIMEOUT_SECONDS) -> DriftOutcome:
        """Wait for the report (seconds), write summary.json, record the artefact. A report that takes longer is ended."""
        error = self._wait(timeout) if self._process is not None else None
        drawn = self._process is not None and error is None
        summary = {**self._summary, "report": "report.html" if drawn else None, "report_error": error}
        if drawn:
            summary["evidently"] = json.loads((self._folder / "scores.json").read_text(encoding="utf-8"))
        write_whole(self._folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True))
        for leftover in (*self._folder.glob("*.parquet"), self._folder / "scores.json"):
            leftover.unlink(missing_ok=True)
        self._record(summary)
        return DriftOutcome(self.artefact_id, self._folder, self.result, error, summary)

    def stop(self) -> None:
        """End the report's process and remove what was written; nothing is recorded. For a shutdown before the end."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _record(self, summary: dict[str, Any]) -> None:
        """The artefact first, then the audit row that vouches for it with the message, in one transaction."""
        plan, name = self._plan, self.artefact_id
        path = self._folder.relative_to(self._deps.home).as_posix()
        self._deps.state.record_artefact(name, KIND, path, summary, self._now)
        told = None
        if plan.tell:
            told = message(name, self.result, plan.alert_columns, summary, self._now, plan.dashboard_url)
        said = {
            "summary_hash": sha256_text(canonical(summary)),
            "policy_hash": plan.policy_hash,
            "drifted": summary["drifted"],
            "broken": summary["broken"],
            "message": None if told is None else told.outbox_id,
        }
        reason = f"{len(summary['drifted'])} columns drifted, {len(summary['broken'])} are broken"
        entry = AuditEntry(plan.actor, EVENT, name, reason, said)
        self._deps.state.commit(Commit(audit=[entry], messages=() if told is None else [told]), self._now)

    def _wait(self, timeout: float) -> str | None:
        """None when the report was written, else what went wrong."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._end()
            return f"the report was not ready after {timeout:g} s; its process was ended"
        log = self._folder / "report.log"
        if code == 0 and (self._folder / "report.html").is_file():
            log.unlink()
            return None
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"the report's process ended with code {code}: {tail[-1] if tail else 'no message'} (see report.log)"

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def run(deps: DriftDeps, now: datetime, reference: Window, current: Window, plan: Plan | None = None) -> DriftOutcome:
    """Analyse two windows and wait for the report."""
    return start(deps, now, reference, current, plan).finish()


def start(deps: DriftDeps, now: datetime, reference: Window, current: Window, plan: Plan | None = None) -> DriftRun:
    """Export, compute the gate numbers, start the report, make the timeline. Raises ValueError for a window that ends before it begins."""
    plan = plan or Plan()
    for window in (reference, current):
        if window.since >= window.until:
            raise ValueError(f"the window '{window.label}' ends {iso(window.until)}, before it begins")
    windows = {"reference": reference.to_dict(), "current": current.to_dict()}
    folder = _folder(deps.home / "reports" / "drift", now, windows)
    running = DriftRun(deps, now, folder, plan)
    cursor = deps.warehouse.cursor()
    try:
        rows = Rows(cursor, folder, leave_out=("arm",) if reference.arm and current.arm else ())
        known = known_until(cursor, now)
        export(rows, reference, current, known)
        if plan.report:
            for side in (REFERENCE, CURRENT):
                rows.features(side).write_parquet(str(folder / f"{side}.parquet"))
            running.draw()
        head = {"artefact_id": folder.name, "created_at": iso(now), "windows": windows}
        head["known_until"] = iso(known)
        head |= {"trigger": plan.trigger, "actor": plan.actor, "policy_hash": plan.policy_hash}
        head["reference"] = (plan.reference or Reference(reference.label, reference)).to_dict()
        head["settings"] = {name: getattr(plan.settings, name) for name in type(plan.settings).__dataclass_fields__}
        result, summary = _analyse(rows, reference, current, plan, known, deps.home / "reports" / "drift" / "days")
        running.found(result, head | summary)
    except BaseException:
        running.stop()
        raise
    finally:
        cursor.close()
    return running


def _analyse(
    rows: Rows, reference: Window, current: Window, plan: Plan, known: datetime, kept: Path
) -> tuple[DriftResult, dict[str, Any]]:
    """Verdicts, maturity of labels, timeline, onsets, effects."""
    result, maturity = compared(rows, plan.settings)
    gone = refused(rows.cursor, reference, current)
    result = with_refused(result, gone, plan.settings)
    shown = drift_timeline.reach(reference, current)
    before, now = (drift_timeline.sketches(rows, side) for side in (REFERENCE, CURRENT))
    timeline = drift_timeline.measure(rows, reference, current, shown, known, kept, before)
    # arms run side by side: they differ from the first request on, there is no moment at which one became the other
    side_by_side = reference.arm != current.arm
    onsets = {} if side_by_side else drift_timeline.began(timeline, result, plan.settings)
    summary = result.to_dict() | {"labels": maturity, "refused": gone, "timeline": timeline.head()}
    for name, column in summary["columns"].items():
        column |= drift_timeline.onset_json(onsets.get(name), timeline)
        column["timeline"] = timeline.column(name)
        column["distribution"] = distribution(before.get(name), now.get(name))
    summary["effects"] = effects(rows, result, onsets, timeline, shown)
    return result, summary


def _folder(parent: Path, now: datetime, windows: Mapping[str, Any]) -> Path:
    """A new folder: an analysis of the same windows at the same second is another analysis."""
    name = f"{iso(now).replace('-', '').replace(':', '')}-{sha256_text(canonical(dict(windows)))[:8]}"
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / name} exists a thousand times")
