"""`controlplane drift run` on two files: the gate numbers on all rows, and Evidently's report in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from controlplane.analysis.drift import DriftResult, DriftSettings, Table, compare_tables
from controlplane.analysis.drift_inputs import InputError, as_table
from jobs.files import write_whole

MEMORY = "1GB"  # of DuckDB; what does not fit is sorted on disk, beside the other temporary files
REPORT_TIMEOUT_SECONDS = 600.0


def drift_files(
    reference: Path,
    current: Path,
    out: Path | None,
    report: bool,
    settings: DriftSettings | None = None,
    weight: str | None = None,
    progress: Callable[[str], None] = lambda _words: None,
) -> dict[str, Any]:
    """Compare two files; with `out`, write summary.json and (`report`) report.html there. `progress` gets a few words now and then.

    Returns {"columns", "drifted", "broken", "report", "report_error", "files", "settings"}; report is None where there is none, and a report that
    fails takes nothing away from the numbers. Raises InputError, FileNotFoundError, IsADirectoryError, ValueError (weights).
    """
    folder = None if out is None else out.absolute()
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {out} is a file; name a folder for the results")
        folder.mkdir(parents=True, exist_ok=True)  # before the work: a place that can't be written ends it at once
    with TemporaryDirectory(prefix="controlplane-drift-") as scratch:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "temp_directory": scratch,
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(config=config) as connection:
            tables = []
            for name, path in (("reference", reference), ("current", current)):
                progress(f"reading {path.name}")
                tables.append(as_table(connection, path, Path(scratch, f"{name}.parquet")))
            result = compare_tables(
                connection,
                tables[0],
                tables[1],
                settings=settings,
                weight=weight,
                progress=lambda done, of: progress(f"comparing columns, {done} of {of}"),
            )
        summary: dict[str, Any] = {
            **result.to_dict(),
            "files": {"reference": str(reference), "current": str(current)},
            "settings": asdict(settings or DriftSettings()),
            "report": None,
            "report_error": None,
        }
        if folder is None:
            return summary
        if report:
            progress("drawing the report (Evidently takes about ten seconds to load)")
            summary |= _draw(result, tables, folder, Path(scratch), settings or DriftSettings())
    write_whole(folder / "summary.json", json.dumps(summary, indent=1, sort_keys=True, allow_nan=False))
    return summary


def _draw(
    result: DriftResult, tables: list[Table], folder: Path, scratch: Path, settings: DriftSettings
) -> dict[str, Any]:
    kinds = {column.column: column.kind if column.score is not None else column.reason for column in result.columns}
    write_whole(scratch / "columns.json", json.dumps(kinds))
    argv = [
        sys.executable,
        "-m",
        "controlplane.analysis.drift_report",
        *(str(table.path.absolute()) for table in tables),
    ]
    done = subprocess.Popen(
        [*argv, str(folder), "--columns", str(scratch / "columns.json"), "--settings", json.dumps(asdict(settings))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DO_NOT_TRACK": "1"},
    )
    try:
        _, said = done.communicate(timeout=REPORT_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return {"report_error": f"the report was not ready after {REPORT_TIMEOUT_SECONDS:g} s; its process was ended"}
    finally:
        if done.poll() is None:
            done.kill()
            done.wait()
    if done.returncode:
        words = said.strip().splitlines()[-1:] or ["no message"]
        return {"report_error": f"the report's process ended with code {done.returncode}: {words[0]}"}
    scores = folder / "scores.json"
    evidently = json.loads(scores.read_text(encoding="utf-8"))
    scores.unlink()
    return {"report": str(folder / "report.html"), "evidently": evidently}
