"""The drift analysis of two windows: numbers on all rows that decide, Evidently's report beside them, kept as an artefact.

The facts of both windows are exported by SQL to Parquet (features only: no content, no customer), the gate numbers are
computed at once, and Evidently draws its report in a process of its own, because its import alone takes ten seconds.
`start` returns as soon as that process runs; `DriftRun.finish` waits for it and records the artefact; `run` does both. A
report that fails is a recorded fact and takes nothing away from the numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import duckdb

from controlplane.analysis.drift import DriftResult, compare_files
from controlplane.core.audit import canonical, sha256_text
from controlplane.store.queries import load

KIND = "drift"
REPORT_TIMEOUT_SECONDS = 600.0


class Recorder(Protocol):
    """Keeps a job's result; the state writer does."""

    def record_artefact(
        self, artefact_id: str, kind: str, path: str, summary: Mapping[str, Any], now: datetime
    ) -> None:
        """Keep a new version of an artefact."""


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
class Window:
    """Interactions with `since <= ts < until` (aware UTC), of one arm or of both (None); the label is shown to people."""

    label: str
    since: datetime
    until: datetime
    arm: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """JSON-ready, times as ISO-8601."""
        return {"label": self.label, "since": _iso(self.since), "until": _iso(self.until), "arm": self.arm}


@dataclass(frozen=True, slots=True)
class DriftOutcome:
    """A finished analysis: its id, folder, numbers, and why there is no report (None when there is one)."""

    artefact_id: str
    folder: Path
    result: DriftResult
    report_error: str | None


class DriftRun:
    """A running analysis: the numbers are there, Evidently's report is on its way."""

    def __init__(
        self, deps: DriftDeps, now: datetime, folder: Path, summary: dict[str, Any], result: DriftResult
    ) -> None:
        self.artefact_id = folder.name
        self.result = result
        self._deps, self._now, self._folder, self._summary = deps, now, folder, summary
        self._log = (folder / "report.log").open("w", encoding="utf-8")
        argv = [sys.executable, "-m", "controlplane.analysis.drift_report"]
        files = [str(folder / name) for name in ("reference.parquet", "current.parquet")]
        self._process = subprocess.Popen(
            [*argv, *files, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DO_NOT_TRACK": "1"},
        )

    def done(self) -> bool:
        """Whether the report's process has ended; `finish` then returns at once."""
        return self._process.poll() is not None

    def finish(self, timeout: float = REPORT_TIMEOUT_SECONDS) -> DriftOutcome:
        """Wait for the report (seconds), write summary.json, record the artefact. A report that takes longer is ended."""
        error = self._wait(timeout)
        summary = {**self._summary, "report": None if error else "report.html", "report_error": error}
        if not error:
            summary["evidently"] = json.loads((self._folder / "scores.json").read_text(encoding="utf-8"))
        _write(self._folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True))
        for leftover in ("reference.parquet", "current.parquet", "scores.json"):
            (self._folder / leftover).unlink(missing_ok=True)
        path = self._folder.relative_to(self._deps.home).as_posix()
        self._deps.state.record_artefact(self.artefact_id, KIND, path, summary, self._now)
        return DriftOutcome(self.artefact_id, self._folder, self.result, error)

    def stop(self) -> None:
        """End the report's process and remove what was written; nothing is recorded. For a shutdown before the end."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self, timeout: float) -> str | None:
        """None when the report was written, else what went wrong."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._end()
            return f"the report was not ready after {timeout:g} s; its process was ended"
        self._log.close()
        if code == 0 and (self._folder / "report.html").is_file():
            (self._folder / "report.log").unlink()
            return None
        tail = (self._folder / "report.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"the report's process ended with code {code}: {tail[-1] if tail else 'no message'} (see report.log)"

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def run(deps: DriftDeps, now: datetime, reference: Window, current: Window) -> DriftOutcome:
    """Analyse two windows and wait for the report."""
    return start(deps, now, reference, current).finish()


def start(deps: DriftDeps, now: datetime, reference: Window, current: Window) -> DriftRun:
    """Export, compute the gate numbers, start the report. Raises ValueError for a window that ends before it begins."""
    for window in (reference, current):
        if window.since >= window.until:
            raise ValueError(f"the window '{window.label}' ends {_iso(window.until)}, before it begins")
    windows = {"reference": reference.to_dict(), "current": current.to_dict()}
    folder = deps.home / "reports" / "drift" / _identity(now, windows)
    folder.mkdir(parents=True, exist_ok=True)
    cursor = deps.warehouse.cursor()
    try:
        for name, window in (("reference", reference), ("current", current)):
            _export(cursor, window, folder / f"{name}.parquet")
        result = compare_files(cursor, folder / "reference.parquet", folder / "current.parquet")
    finally:
        cursor.close()
    summary = {"artefact_id": folder.name, "created_at": _iso(now), "windows": windows, **result.to_dict()}
    return DriftRun(deps, now, folder, summary, result)


def _export(cursor: duckdb.DuckDBPyConnection, window: Window, path: Path) -> None:
    since, until = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (window.since, window.until))
    rows = cursor.sql(load("drift/features"), params={"since": since, "until": until, "arm": window.arm})
    rows.write_parquet(str(path))


def _identity(now: datetime, windows: Mapping[str, Any]) -> str:
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{sha256_text(canonical(dict(windows)))[:8]}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
