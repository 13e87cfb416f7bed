"""Stores slices of records: everything a slice says, and that it was read, in one DuckDB transaction.

The steps of a slice, in order (the SQL is in sql/staging):
    stage      decode, convert and check every line
    judge      exceptions: bad rows, known ids (duplicates or changed), contradictions, repeats inside the slice
    settle     only what will be stored is left; unknown keys join `extra`; content is masked
    store      rows into their tables
    record     quarantine, touched minutes, ledger
The steps of a transaction, which is one slice or, in a large file, a few (that spares most of the log writing):
    converse   conversations: what the slices say is folded into them; returns of the same customers
    note       positions of files, watermarks of sources
    commit     all of it, or nothing

A process killed between any two steps leaves the database as after the last commit; the next run reads from there.
`observe` is told each step after it is done: for progress bars, and for tests that kill the process there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from types import TracebackType
from typing import Any, Self

import duckdb

from controlplane.core.masking import MAY_CHANGE, mask, mask_json_text
from controlplane.ingest.lines import Reject
from controlplane.ingest.reasons import Reason, explain
from controlplane.ingest.schema import FUTURE_TOLERANCE, RECORDS, schema_columns
from controlplane.store.queries import load
from controlplane.store.reading import Batch
from controlplane.store.warehouse import Warehouse

Observer = Callable[[str], None]

_MASKERS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("question", "answer", "comment", "escalation_reason"), mask),
    **dict.fromkeys(("sources", "extra", "slots"), mask_json_text),
}
TRANSACTION_BYTES = 128 * 1024 * 1024
_QUARANTINE_COLUMNS = ("quarantine_id", "line", "reason", "field", "detail", "record", "raw")


class IngestError(Exception):
    """A slice could not be stored; nothing of it was. The message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """Source records: read = stored + duplicates + quarantined. Blank lines and heartbeats are not read."""

    read: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def __add__(self, other: "IngestCounts") -> "IngestCounts":
        return IngestCounts(
            self.read + other.read,
            self.stored + other.stored,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a slice comes from: its source (producer), the path shown to people, the ledger's key of the file."""

    source: str
    path: str
    file_key: str
    live: bool


def nothing(step: str) -> None:
    """The observer that does nothing."""


def naive(moment: datetime) -> datetime:
    """An aware time as DuckDB stores it: naive UTC. Raises ValueError for a time without zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; pass an aware UTC time")
    return moment.astimezone(UTC).replace(tzinfo=None)


class SliceStore:
    """Stores slices through one cursor; a context manager that commits at its end, and nothing uncommitted survives an
    error. `key` keys the quarantine ids, `now` is the clock's reading, a transaction ends at `transaction_bytes`."""

    def __init__(
        self,
        warehouse: Warehouse,
        now: datetime,
        key: bytes,
        observe: Observer = nothing,
        transaction_bytes: int = TRANSACTION_BYTES,
    ) -> None:
        self._cursor = warehouse.cursor()
        self._moment = naive(now)
        self._key = key
        self._observe = observe
        self._transaction_bytes = transaction_bytes
        self._waiting: int | None = None
        self._batch = 0
        self._positions: dict[str, dict[str, Any]] = {}
        self._run("macros")
        self._run("fields", **schema_columns())
        self._run("known_fields")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
            elif self._waiting is not None:
                self._roll_back()
        finally:
            self._cursor.close()

    def store(self, batch: Batch, origin: Origin) -> IngestCounts:
        """Store one slice and note in the ledger that it was read. Raises IngestError; then nothing since the last commit
        is stored."""
        with self._explained(f"{origin.path}: the slice from {batch.start} to {batch.end}"):
            self._begin()
            self._cursor.register("incoming", batch.table)
            counts = self._steps(batch, origin)
        self._cursor.unregister("incoming")
        self._waiting = (self._waiting or 0) + int(batch.table.nbytes)
        if self._waiting >= self._transaction_bytes:
            self.commit()
        return counts

    def finish(self, origin: Origin) -> None:
        """Note that nothing will be added to the file any more."""
        with self._explained(origin.path):
            self._begin()
            if origin.file_key in self._positions:
                self._positions[origin.file_key]["done"] = True
            else:
                self._run("file_done", file_key=origin.file_key, moment=self._moment)

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        if self._waiting is None:
            return
        with self._explained(
            ", ".join(str(position["path"]) for position in self._positions.values()) or "the end of a file"
        ):
            if self._positions:
                self._converse()
                self._observe("converse")
                for position in self._positions.values():
                    self._run("file_note", **position, moment=self._moment)
                self._run("source_note", moment=self._moment)
                self._observe("note")
            self._cursor.execute("COMMIT")
        self._waiting = None
        self._observe("commit")

    def _begin(self) -> None:
        if self._waiting is None:
            self._cursor.execute("BEGIN TRANSACTION")
            self._waiting = 0
            self._positions = {}
            self._run("pending")
            self._batch = int(self._run("next_batch").fetchall()[0][0]) - 1

    def _roll_back(self) -> None:
        self._waiting = None
        # After some errors DuckDB has already ended the transaction; the first error is the one to show.
        with suppress(duckdb.Error):
            self._cursor.execute("ROLLBACK")

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Errors end the transaction; those of the database say what could not be stored."""
        try:
            yield
        except duckdb.Error as error:
            self._roll_back()
            raise IngestError(
                f"{what} could not be stored, nothing since the last commit was; repair the cause and run it again: {error}"
            ) from error
        except BaseException:
            self._roll_back()
            raise

    def _steps(self, batch: Batch, origin: Origin) -> IngestCounts:
        self._batch += 1
        has_unknown, kinds = self._judge()
        if has_unknown:
            self._run("extras")
        self._mask()
        self._run("settled")
        self._observe("settle")
        for kind in kinds:
            if kind in RECORDS and RECORDS[kind].table:
                self._run(f"store_{kind}", batch=self._batch)
        if has_unknown:
            self._run("extras_insert", batch=self._batch)
        self._run("pending_add")
        self._observe("store")
        counts = self._record(batch, origin)
        self._observe("record")
        return counts

    def _run(self, name: str, **values: Any) -> duckdb.DuckDBPyConnection:
        return self._cursor.execute(load(f"staging/{name}"), values or None)

    def _judge(self) -> tuple[bool, list[str]]:
        """Decodes and judges every line; returns whether unknown keys occur, and the record types in the slice."""
        latest = self._moment + FUTURE_TOLERANCE
        self._run("slice_begin")
        self._run("stage", latest=latest)
        has_suspects, has_problems, kinds = self._run("survey").fetchall()[0]
        if has_problems:
            self._run("exceptions")
        if has_suspects:
            self._run("validate", latest=latest)
        self._observe("stage")
        self._run("shapes")
        has_unknown, has_twice = self._run("shapes_survey").fetchall()[0]
        if has_twice:
            self._run("repeated_keys")
        for step in ("history", "existing", "contradictions", "repeats"):
            self._run(step)
        self._observe("judge")
        return bool(has_unknown), list(kinds or [])

    def _mask(self) -> None:
        """Masks only the cells that the pattern finds: usually few, so the bulk stays in SQL."""
        rows = self._run("maskable", pattern=MAY_CHANGE).fetchall()
        if not rows:
            return
        columns: dict[str, list[Any]] = {"row_id": [row[0] for row in rows]}
        for position, (cell, masker) in enumerate(_MASKERS.items(), start=1):
            columns[cell] = [None if row[position] is None else masker(row[position]) for row in rows]
        self._run("masked", **columns)

    def _converse(self) -> None:
        """Folds what the slices say into the conversations. Rows that the transaction itself wrote are not touched again."""
        self._run("changes")
        self._run("before")
        self._run("merged", batch=self._batch)
        self._run("returns")
        self._run("conversations_update")
        self._run("returns_apply", batch=self._batch)
        self._run("conversations_add")
        self._run("touched_starts", batch=self._batch)

    def _record(self, batch: Batch, origin: Origin) -> IngestCounts:
        stored, duplicates, quarantined, heartbeats, first_ts, last_ts = self._run("counts").fetchall()[0]
        rejected = quarantined + len(batch.rejects)
        counts = IngestCounts(batch.rows + len(batch.rejects) - heartbeats, stored, duplicates, rejected)
        if counts.read != stored + duplicates + rejected:
            raise IngestError(f"{origin.path}: {counts} do not add up; nothing of the slice was kept, report this file")
        if rejected:
            self._quarantine(batch, origin)
        place = {"source": origin.source, "path": origin.path, "file_key": origin.file_key}
        self._run(
            "batch",
            **place,
            batch=self._batch,
            from_offset=batch.start,
            to_offset=batch.end,
            read=counts.read,
            stored=stored,
            duplicates=duplicates,
            quarantined=rejected,
            first_ts=first_ts,
            last_ts=last_ts,
            moment=self._moment,
        )
        self._run("touched", batch=self._batch)
        self._run("heard_add", source=origin.source, last_ts=last_ts, live=origin.live)
        position = {"next_offset": batch.end, "next_line": batch.next_line, "done": False}
        self._positions[origin.file_key] = {**place, **position}
        return counts

    def _quarantine(self, batch: Batch, origin: Origin) -> None:
        found = self._run("rejected").fetchall()
        rows = [
            self._quarantine_row(origin, line, _reason(reason, line, batch), field, kind, raw_hash, text)
            for line, kind, reason, field, raw_hash, text in found
        ]
        rows += [self._early_row(origin, reject) for reject in batch.rejects]
        if not rows:
            return
        columns = {name: [row[index] for row in rows] for index, name in enumerate(_QUARANTINE_COLUMNS)}
        self._run("rejects", **columns)
        self._run("quarantine", path=origin.path, batch=self._batch, moment=self._moment)

    def _early_row(self, origin: Origin, reject: Reject) -> tuple[Any, ...]:
        return self._quarantine_row(origin, reject.line, reject.reason, reject.field, None, reject.raw_hash, reject.raw)

    def _quarantine_row(
        self,
        origin: Origin,
        line: int,
        reason: Reason,
        field: str | None,
        kind: str | None,
        raw_hash: int,
        text: str,
    ) -> tuple[Any, ...]:
        """The id is made of file, line and content, so a file that is read again quarantines nothing twice."""
        identity = f"{origin.file_key}|{line}|{raw_hash}".encode()
        quarantine_id = blake2b(identity, digest_size=12, key=self._key).hexdigest()
        raw = mask_json_text(text.rstrip("\r\n"))
        return quarantine_id, line, reason.value, field, explain(reason, field), kind, raw


def _reason(reason: str, line: int, batch: Batch) -> Reason:
    """A last line without line end that is not JSON was torn by the death of its writer."""
    found = Reason(reason)
    return Reason.TORN_LINE if found is Reason.NOT_JSON and line == batch.torn_line else found
