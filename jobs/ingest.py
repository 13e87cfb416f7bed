"""Takes logs into the facts: the landing folder at every heartbeat, finished files when a person names them.

Rules
- What was stored is stored once, however often and under whatever name it comes again.
- Bad rows never stop a file: they go to quarantine with file, line and reason. A path that is missing, empty or not
  readable stops the command before anything is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from controlplane.ingest.columns import ColumnMap
from controlplane.store.facts import IngestCounts, SourceError, ingest_file, ingest_landing, known_format
from controlplane.store.slices import TRANSACTION_BYTES
from controlplane.store.warehouse import Warehouse


class Deps(Protocol):
    """What the job needs."""

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse, open for writing."""
        ...

    @property
    def landing(self) -> Path:
        """The landing folder; may not exist yet."""
        ...

    @property
    def hmac_key(self) -> bytes:
        """Key of the fingerprints, always the same in one workspace."""
        ...


def run(deps: Deps, now: datetime) -> IngestCounts:
    """Store what has landed since the last run. A landing folder that does not exist yet holds nothing."""
    if not deps.landing.is_dir():
        return IngestCounts()
    return ingest_landing(deps.warehouse, deps.landing, now=now, key=deps.hmac_key).counts


def ingest_paths(
    warehouse: Warehouse,
    paths: Sequence[Path],
    *,
    now: datetime,
    key: bytes,
    map: ColumnMap | None = None,
    source: str = "file",
    console: Console | None = None,
    between: Callable[[], None] | None = None,
) -> IngestCounts:
    """Store finished files and all log files below the folders named; returns the sum over all files.

    `source` names the producer in the ledger; with a `console` (one that writes to stderr) a bar shows the bytes read. With
    `between` every slice is a transaction of its own, and `between` is called after it.
    Raises SourceError when a path is missing, empty or of unknown format, or a folder holds no log file: before
    anything is stored.
    """
    files = list(log_files(paths))
    total = IngestCounts()
    with _bar(console, files) as bar:
        for file in files:
            base = bar.tasks[0].completed

            def progress(read: int, base: float = base) -> None:
                bar.update(bar.tasks[0].id, completed=base + read)
                if between is not None:
                    between()

            size = TRANSACTION_BYTES if between is None else 1
            counts = ingest_file(
                warehouse, file, source=source, now=now, key=key, map=map, transaction_bytes=size, progress=progress
            )
            bar.update(bar.tasks[0].id, completed=base + file.stat().st_size)
            total += counts
    return total


def log_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those below the folders named, by name. Raises SourceError as `ingest_paths` says."""
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path} does not exist; name a log file or a folder of log files")
        if path.is_dir():
            found = [each for each in sorted(path.rglob("*")) if each.is_file() and known_format(each)]
            if not found:
                raise SourceError(f"{path} holds no log files (.jsonl, .ndjson, .csv, .tsv, .parquet, also .gz)")
            yield from (each for each in found if each.stat().st_size)
        elif not known_format(path):
            raise SourceError(f"{path}: unknown format; JSON lines (.jsonl, .ndjson), .csv, .tsv, .parquet, also .gz")
        elif path.stat().st_size == 0:
            raise SourceError(f"{path} is empty; nothing to ingest")
        else:
            yield path


@contextmanager
def _bar(console: Console | None, files: Sequence[Path]) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=console is None or not console.is_terminal, transient=True) as bar:
        bar.add_task("ingest", total=sum(file.stat().st_size for file in files))
        yield bar
