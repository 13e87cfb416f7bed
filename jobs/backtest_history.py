"""Where the history of a backtest comes from: the workspace, another workspace or facts file, or files of flat records.

Files of records are read by the same ingest as everything else, into a warehouse that is thrown away. Nothing is ever written to a history.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controlplane.analysis.backtest_incidents import Window
from controlplane.settings import Settings, Workspace, load
from controlplane.store.backtest_facts import History, read_history
from controlplane.store.facts import SourceError
from controlplane.store.warehouse import Warehouse, WarehouseError, WarehouseLocked
from jobs.compose import workspace_settings
from jobs.console import BAD_INPUT, OUTSIDE, fail, stderr
from jobs.ingest import ingest_paths

ONE_READ_KEY = b"a warehouse that lives as long as one backtest"
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def opened(home: str | None, history: Path | None, now: datetime) -> Iterator[Warehouse]:
    """The facts of the history, open for reading. Ends with a message where there are none."""
    if history is None:
        settings = workspace_settings(home, must_exist=True)
        facts: Path | None = settings.workspace.facts
    elif not history.exists():
        fail(f"history {history} does not exist: name a facts file, a workspace, or files of records", BAD_INPUT)
    else:
        facts = _facts_of(history)
    with tempfile.TemporaryDirectory(prefix="backtest-") as folder:
        if facts is not None:
            with _read_only(facts, Path(folder)) as warehouse:
                yield warehouse
            return
        with Warehouse.open(Path(folder) / "facts.duckdb") as warehouse:
            _ingest(warehouse, Path(str(history)), now)
            yield warehouse


def _facts_of(history: Path) -> Path | None:
    """The DuckDB file that is meant; None where it is records."""
    if history.is_dir():
        facts = Workspace(history).facts
        return facts if facts.is_file() else None
    return history if history.suffix == ".duckdb" else None


@contextmanager
def _read_only(facts: Path, folder: Path) -> Iterator[Warehouse]:
    """Open without writing; facts of an earlier version are brought up to date in a copy."""
    try:
        warehouse = Warehouse.open(facts, read_only=True)
    except WarehouseLocked as error:
        fail(f"{error}; or name the logs themselves: `--history FOLDER`", OUTSIDE)
    except WarehouseError:
        if not facts.is_file():
            raise
        copy = folder / "facts.duckdb"
        for suffix in ("", ".wal"):  # what was committed may still stand in the log beside the file
            if (part := facts.with_name(facts.name + suffix)).is_file():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        warehouse = Warehouse.open(copy)
    with warehouse:
        yield warehouse


def _ingest(warehouse: Warehouse, path: Path, now: datetime) -> None:
    try:
        counts = ingest_paths(warehouse, [path], now=now, key=ONE_READ_KEY, console=stderr)
    except SourceError as error:
        fail(str(error), BAD_INPUT)
    if not counts.stored:
        fail(
            f"history {path}: none of {counts.read} records could be used ({counts.quarantined} quarantined)", BAD_INPUT
        )


def histories(warehouse: Warehouse, arm: str, *, both: bool) -> tuple[History, History | None]:
    """What is relabelled and, where `both` are asked for, the arms as they were recorded."""
    found = read_history(warehouse, arm)
    if not both:
        return found, None
    return found, found if arm == "all" else read_history(warehouse, "all")


def workspace_or_none(home: str | None) -> Settings | None:
    """The workspace in which a result is recorded; None when there is none."""
    settings = load(home)
    return settings if settings.workspace.kind() is not None else None


def read_windows(path: Path) -> tuple[Window, ...]:
    """Labelled incidents: TOML with `[[incidents]]` tables or CSV with a header; each has name, start and end (ISO-8601). Ends with a message."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            rows = [dict(row) for row in tomllib.loads(text).get("incidents", [])]
        else:
            rows = [dict(row) for row in csv.DictReader(text.splitlines())]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        fail(f"incidents {path} cannot be read: {error}", BAD_INPUT)
    if not rows:
        fail(f"incidents {path} names none: write [[incidents]] tables, or CSV with name,start,end", BAD_INPUT)
    return tuple(_window(path, number, row) for number, row in enumerate(rows, 1))


def _window(path: Path, number: int, row: dict[str, object]) -> Window:
    try:
        start, end = (microseconds(_moment(row[key])) for key in ("start", "end"))
    except (KeyError, TypeError, ValueError):
        fail(f"incidents {path}: incident {number} needs start and end as ISO-8601 times, it has {row}", BAD_INPUT)
    if end <= start:
        fail(f"incidents {path}: incident {number} ends before it starts", BAD_INPUT)
    return Window(str(row.get("name") or f"incident {number}"), start, end)


def _moment(value: object) -> datetime:
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND
