"""`controlplane experiment analyze FILE`: the analysis of a file, its report, and what the terminal says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from controlplane.analysis.experiment_analysis import analyse
from controlplane.analysis.experiment_request import ExperimentError, Request
from controlplane.analysis.experiment_source import read, units
from controlplane.store.queries import load


@contextmanager
def scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills to a folder of its own and loads nothing from outside."""
    with (
        tempfile.TemporaryDirectory(prefix="controlplane-experiment-") as folder,
        duckdb.connect(config={"autoinstall_known_extensions": "false", "temp_directory": folder}) as connection,
    ):
        connection.execute(load("experiment/utc"))
        yield connection


def analyse_file(file: Path, request: Request) -> dict[str, Any]:
    """The answer of `analyse` for a file. Raises ExperimentError, FileNotFoundError."""
    with scratch() as connection:
        try:
            found = units(connection, read(connection, file), request)
            return {"source": "file", "file": str(file), **analyse(found, request)}
        except duckdb.Error as error:
            raise ExperimentError(f"{file} cannot be analysed: {str(error).splitlines()[0]}") from error


def write_report(value: Mapping[str, Any], out: Path) -> None:
    """The report as one HTML file."""
    from controlplane.analysis.experiment_html import report

    out.write_text(report(value), encoding="utf-8")
