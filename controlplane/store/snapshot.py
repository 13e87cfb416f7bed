"""What dashboards read: a small, versioned copy of the rollups and the state.

Why a copy: the writer's own file locks every other process out, read-only ones too, and a page must never slow a decision.

Rules
- `publish` writes `snap-N.duckdb` completely, syncs it to the disk, and only then renames `CURRENT` to point to it, so a
  reader sees a whole snapshot or the one before, also after a crash at any moment. The last three are kept, so that a
  reader that has just looked up a name still finds the file.
- Numbers only rise, also after a restart; when the folder is started afresh, files are told apart by more than their name
  (`SnapshotRef.key`). A path that was replaced is never reopened: a reader opens the file, reads, and closes it.
- Nothing changed means nothing is written; `CURRENT` is touched, which tells readers that the publisher is alive.
- Facts rows stay behind: no question, no answer and no customer is in a snapshot. Minute rows of the last 48 hours, hour
  rows before that, the readings of the evidence ledger likewise, the tables of the state, and counts of the quarantine.
- All values of one snapshot come from one transaction of the facts. The state was read before it and may lag, never lead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from sqlalchemy import Boolean, Float, Integer, Table

from controlplane.core.audit import READINGS, canonical, sha256_text
from controlplane.core.masking import without_examples
from controlplane.core.silence import HEARD
from controlplane.store import snapshot_runs, state_tables
from controlplane.store.queries import load
from controlplane.store.warehouse import STORAGE_VERSION

CURRENT = "CURRENT"
KEEP = 3
MINUTE_SPAN = timedelta(hours=48)
MAX_HISTORY_ROWS = 2_000
SCHEMA = 2

# Of the facts: table of the snapshot -> query. Of the state: every table but these, which grow without end or are secrets'
# neighbours (leases name processes) and are published in a reduced form (`snapshot_runs`) or not at all.
_FROM_FACTS = {
    "rollup": "snapshot/rollup",
    "latency": "snapshot/latency",
    "services": "snapshot/services",
    "model_usage": "snapshot/model_usage",
    "intents": "snapshot/intents",
    "safety": "snapshot/safety",
    "unit_counts": "snapshot/unit_counts",
    "quarantine_counts": "snapshot/quarantine_counts",
    "sources": "snapshot/sources",
}
_SESSION: dict[str, Any] = {"TimeZone": "UTC", "memory_limit": "512MB", "autoinstall_known_extensions": False}
_NOTE = "note"  # what a reviewer wrote beside an answer may repeat it
_OF_CUSTOMERS = {  # columns that stay with the facts or the state: whose conversation, which answer, words about it
    "containments": ("conversation_id",),
    "review_items": ("conversation_id", "interaction_id"),
    "review_labels": (_NOTE,),
    "review_opinions": (_NOTE,),
    "review_adjudications": (_NOTE,),
}
_NOT_COPIED = frozenset({"ledger", "detectors", "leases", "runs", "schema_version", "evaluation_runs", "presses"})
_CAPPED = {"audit": "seq", "outbox": "created_at"}
_OF_WORDS = "topics"  # kind of the artefacts that quote customers
_KEPT_EVENTS = frozenset({"review_pinned", "review_signed"})  # of the audit log, however old: a few a week


class NoSnapshot(Exception):
    """There is nothing to read yet; the message names the folder and what to do."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """What a snapshot says about where it comes from; `state_version` rises with every change of the state."""

    state_version: int
    app_version: str
    kind: str
    lateness_seconds: int = 0


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot on the disk. `checked_at` (aware UTC) is when the publisher last looked, whether it wrote or not."""

    path: Path
    version: int
    key: str
    checked_at: datetime


def publish(
    cursor: duckdb.DuckDBPyConnection,
    state: Mapping[str, Sequence[Mapping[str, Any]]],
    folder: Path,
    now: datetime,
    info: VersionInfo,
) -> Path:
    """Publish facts and state as a new snapshot; the path of the current one, which is the old one when nothing changed.

    cursor: of the warehouse, in no transaction. state: `StateReader.export()`. How often is the caller's affair (5 s).
    """
    folder.mkdir(parents=True, exist_ok=True)
    cursor.execute("BEGIN TRANSACTION")
    try:
        mark = _fingerprint(cursor, info)
        before = _last_published(folder)
        if before is not None and before["fingerprint"] == mark and (folder / str(before["file"])).is_file():
            (folder / CURRENT).touch()
            return folder / str(before["file"])
        version = _next_version(folder, before)
        path = folder / f"snap-{version}.duckdb"
        _write(cursor, state, path, _meta(cursor, now, info, version))
    finally:
        cursor.execute("ROLLBACK")
    _point(folder, {"file": path.name, "version": version, "fingerprint": mark, "schema": SCHEMA})
    _prune(folder, keep=path)
    return path


class SnapshotReader:
    """Finds and opens the current snapshot of a folder, read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current(self) -> SnapshotRef:
        """The snapshot to read now. Raises NoSnapshot when there is none."""
        found = _read_current(self.folder)
        if found is None:
            raise NoSnapshot(
                f"no snapshot in {self.folder} yet; start the control process with `controlplane up` or `make demo`"
            )
        path = self.folder / str(found["file"])
        try:
            checked = (self.folder / CURRENT).stat().st_mtime
            file = path.stat()
        except FileNotFoundError as error:
            raise NoSnapshot(f"{error.filename} is gone; the control process publishes the next one shortly") from error
        if found.get("schema") != SCHEMA:
            raise NoSnapshot(f"{path} was written by another version of controlplane; restart the control process")
        key = f"{found['version']}-{file.st_ino}-{file.st_mtime_ns}"
        return SnapshotRef(path, int(found["version"]), key, datetime.fromtimestamp(checked, UTC))

    @contextmanager
    def open(self, ref: SnapshotRef | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the current snapshot, or to `ref`; closed at the end of the block.

        Raises NoSnapshot when there is none, or when `ref` has been pruned meanwhile.
        """
        chosen = ref or self.current()
        connection = open_file(chosen.path)
        try:
            yield connection
        finally:
            connection.close()


def open_file(path: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection to a snapshot file. Raises NoSnapshot when it is gone or not a snapshot."""
    try:
        return duckdb.connect(str(path), read_only=True, config=_SESSION)
    except duckdb.IOException as error:
        raise NoSnapshot(f"can't read the snapshot {path}: {error}") from error


def _fingerprint(cursor: duckdb.DuckDBPyConnection, info: VersionInfo) -> str:
    """Hash of everything whose change makes a new snapshot."""
    row = cursor.execute(load("snapshot/fingerprint")).fetchall()[0]
    parts = [str(value) for value in row] + [str(info.state_version), info.app_version, info.kind, str(SCHEMA)]
    return sha256_text(canonical(parts))


def _minute_from(now: datetime) -> datetime:
    """First minute that keeps its own row: 48 hours ago, on the hour, naive UTC."""
    start = now.astimezone(UTC).replace(tzinfo=None) - MINUTE_SPAN
    return start.replace(minute=0, second=0, microsecond=0)


def _meta(cursor: duckdb.DuckDBPyConnection, now: datetime, info: VersionInfo, version: int) -> dict[str, Any]:
    totals = cursor.sql(load("snapshot/batch_totals"))
    live = [row for row in cursor.execute(load("snapshot/sources")).fetchall() if row[1]]
    told = [row[2] for row in live if row[2] is not None]
    slowest = min(told) if told and len(told) == len(live) else None
    naive = now.astimezone(UTC).replace(tzinfo=None)
    return {
        "version": version,
        "published_at": naive,
        "watermark": slowest - timedelta(seconds=info.lateness_seconds) if slowest else None,
        "slowest": slowest,
        "newest": max(told, default=None),
        "state_version": info.state_version,
        "app_version": info.app_version,
        "kind": info.kind,
        "minute_from": _minute_from(now),
        **dict(zip(totals.columns, totals.fetchall()[0], strict=True)),
    }


def _write(
    cursor: duckdb.DuckDBPyConnection,
    state: Mapping[str, Sequence[Mapping[str, Any]]],
    path: Path,
    meta: Mapping[str, Any],
) -> None:
    """Write the file under a partial name, sync it, and give it its name."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    window = {"minute_from": meta["minute_from"]}
    config = {**_SESSION, "storage_compatibility_version": STORAGE_VERSION}
    target = duckdb.connect(str(partial), config=config)
    try:
        _meta_frame(target, meta)
        for name, query in _FROM_FACTS.items():
            params = window if "$minute_from" in load(query) else {}
            target.from_arrow(cursor.sql(load(query), params=params).to_arrow_table()).create(name)
        for table in state_tables.metadata.sorted_tables:
            if table.name not in _NOT_COPIED:
                frame = _frame(table, _recent(table.name, state))
                target.from_arrow(frame.drop(_OF_CUSTOMERS.get(table.name, ())).to_arrow()).create(table.name)
        target.from_arrow(_lanes(state.get("detectors", ())).to_arrow()).create("lanes")
        target.from_arrow(snapshot_runs.reduced(state.get("evaluation_runs", ())).to_arrow()).create("evaluation_runs")
        target.register("ledger_rows", _frame(state_tables.ledger, state.get("ledger", ())).to_arrow())
        target.sql(load("snapshot/readings"), params=window).create("readings")
        target.execute("CHECKPOINT")
    finally:
        target.close()
    _sync(partial)
    partial.replace(path)


def _meta_frame(target: duckdb.DuckDBPyConnection, meta: Mapping[str, Any]) -> None:
    times = ("published_at", "watermark", "slowest", "newest", "minute_from")
    frame = pl.DataFrame([dict(meta)], schema_overrides=dict.fromkeys(times, pl.Datetime("us")))
    target.from_arrow(frame.to_arrow()).create("meta")


def _recent(name: str, state: Mapping[str, Sequence[Mapping[str, Any]]]) -> Sequence[Mapping[str, Any]]:
    """Rows of a state table; of those that grow without end the newest ones."""
    rows = state.get(name, ())
    if name == "audit":
        rows = [row for row in rows if row["event"] not in READINGS]
    if name == "artefacts":
        rows = [_wordless(row) if row["kind"] == _OF_WORDS else row for row in rows]
    if name not in _CAPPED:
        return rows
    ordered = sorted(rows, key=lambda row: row[_CAPPED[name]])
    older = [row for row in ordered[:-MAX_HISTORY_ROWS] if row.get("event") in _KEPT_EVENTS]
    return [*older, *ordered[-MAX_HISTORY_ROWS:]]


def _wordless(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """An analysis of topics without the examples in customers' words: who may read those asks the control process."""
    summary = json.loads(row["summary"])
    return {**row, "summary": canonical({**summary, "topics": without_examples(summary.get("topics") or ())})}


def _frame(table: Table, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """State rows as a frame with the table's columns and types, also when there are none."""
    schema: dict[str, Any] = {column.name: _type_of(column.type) for column in table.columns}
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)


def _type_of(kind: object) -> Any:
    for sql_type, frame_type in ((Integer, pl.Int64), (Float, pl.Float64), (Boolean, pl.Boolean)):
        if isinstance(kind, sql_type):
            return frame_type
    return pl.String


def _lanes(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Where each lane stands: its last block, the certificates, whether anything fired; the detectors' state stays behind."""
    schema = {"rollout_id": pl.String, "lane": pl.String, "closed_until": pl.String, "standing": pl.String}
    reduced = []
    for row in rows:
        full = json.loads(row["state"])
        standing = {key: full[key] for key in ("last", "standings", "fired", HEARD) if key in full}
        reduced.append(
            {**{key: row[key] for key in ("rollout_id", "lane", "closed_until")}, "standing": canonical(standing)}
        )
    return pl.DataFrame(reduced, schema=schema)


def _read_current(folder: Path) -> dict[str, Any] | None:
    """What CURRENT says; None when there is no such file."""
    path = folder / CURRENT
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"file": str(found["file"]), "version": int(found["version"]), **found}
    except (ValueError, KeyError, TypeError) as error:
        raise NoSnapshot(f"{path} is damaged ({error}); remove it, the control process writes a new one") from error


def _last_published(folder: Path) -> dict[str, Any] | None:
    """As `_read_current`, but a damaged CURRENT counts as none: the publisher replaces it."""
    try:
        return _read_current(folder)
    except NoSnapshot:
        return None


def _next_version(folder: Path, before: Mapping[str, Any] | None) -> int:
    """One more than any number in use, so that a name is never taken twice."""
    used = [int(path.stem.removeprefix("snap-")) for path in folder.glob("snap-*.*") if path.stem[5:].isdigit()]
    return max([*used, int(before["version"]) if before else 0]) + 1


def _point(folder: Path, content: Mapping[str, Any]) -> None:
    """Let CURRENT point to the new file: written aside, synced, renamed."""
    partial = folder / f"{CURRENT}.partial"
    partial.write_text(json.dumps(content), encoding="utf-8")
    _sync(partial)
    partial.replace(folder / CURRENT)
    _sync(folder)


def _prune(folder: Path, keep: Path) -> None:
    numbered = sorted(folder.glob("snap-*.duckdb"), key=lambda path: int(path.stem.removeprefix("snap-")), reverse=True)
    for path in [path for path in numbered if path != keep][KEEP - 1 :]:
        with suppress(FileNotFoundError):
            path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
