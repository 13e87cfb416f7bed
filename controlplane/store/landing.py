"""The landing folder: where producers put records, durable before they are acknowledged, personal data already masked.

    landing/<source>/<number>.jsonl

Rules
- A writer opens a new segment each time it starts and holds an exclusive lock on it while it lives. It never writes to a
  segment of another process, so a line torn by `kill -9` is always the last of its segment.
- `write` returns after fsync: from then on the records survive a crash. What was not acknowledged may be there or not.
- A torn tail (a last line without line end) is only judged when its writer is gone and a newer segment exists, or when
  the caller says the folder is sealed. Until then it waits, and nothing else waits for it.
- Only content fields are masked (never ids, times or numbers); see core/masking.py.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, Self

from controlplane.core.masking import mask, mask_json
from controlplane.ingest.schema import CONTENT_FIELDS

SEGMENT_BYTES = 64 * 1024 * 1024
_SOURCE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
_SEGMENT = re.compile(r"^\d{8}\.jsonl$")


class LandingError(Exception):
    """The landing folder can't be written; the message names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a source. `alive` = its writer holds it; `newest` = no later segment of the source exists."""

    source: str
    path: Path
    size: int
    alive: bool
    newest: bool

    @property
    def key(self) -> str:
        """What the ledger calls the segment, wherever the folder lies."""
        return f"landing/{self.source}/{self.path.name}"


class LandingWriter:
    """Appends records of one source. Safe to share between threads; a context manager."""

    def __init__(
        self, folder: Path | str, source: str, mask: Callable[[str], str] = mask, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """`folder` is the landing folder, made when missing; `source` the producer's name (letters, digits, . _ -).
        Raises LandingError when the name is unfit or the folder can't be written."""
        if not _SOURCE.match(source):
            raise LandingError(
                f"source name {source!r} is unfit for a folder; use letters, digits, dot, dash, underscore"
            )
        self.source = source
        self._folder = Path(folder) / source
        self._mask = mask
        self._segment_bytes = segment_bytes
        self._lock = Lock()
        self._file: BinaryIO | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._open_next()
        except OSError as error:
            raise LandingError(
                f"can't write to {self._folder}: {error.strerror}; check the folder and its rights"
            ) from error

    def write(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Append records; returns their number once all of them are on disk. An unmasked text never reaches the disk.
        Raises LandingError when the writer is closed, ValueError for a record that is not JSON (NaN, infinity),
        OSError when the disk refuses."""
        lines = [_encode(record, self._mask) for record in records]
        if not lines:
            return 0
        with self._lock:
            if self._file is None:
                raise LandingError(f"the landing writer of {self.source} is closed; open a new one")
            self._append(self._file, b"".join(lines))
            if self._file.tell() >= self._segment_bytes:
                closing, self._file = self._file, self._open_next()
                closing.close()
        return len(lines)

    def heartbeat(self, now: datetime) -> None:
        """Say that the source is alive though it has no traffic, so that blocks up to `now` can close."""
        self.write([{"record": "heartbeat", "ts": iso(now), "source": self.source}])

    def sign_off(self, now: datetime) -> None:
        """Say that the source closes at `now`, after all its records: blocks no longer wait for it until it speaks again."""
        self.write([{"record": "heartbeat", "ts": iso(now), "source": self.source, "status": "closing"}])

    def close(self) -> None:
        """Let go of the segment; closing twice is harmless."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, file: BinaryIO, data: bytes) -> None:
        start = file.tell()
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        except OSError:
            # What the disk took only in part is cut off again, so that the next write does not continue a torn line.
            os.ftruncate(file.fileno(), start)
            file.seek(start)
            raise

    def _open_next(self) -> BinaryIO:
        """A new segment behind all others. Another process may take the same number first; then the next is tried."""
        taken = [int(path.stem) for path in self._folder.glob("*.jsonl") if _SEGMENT.match(path.name)]
        number = max(taken, default=0) + 1
        while True:
            path = self._folder / f"{number:08d}.jsonl"
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                number += 1
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _sync_folder(self._folder)
            return os.fdopen(descriptor, "wb", buffering=0)


def iso(moment: datetime) -> str:
    """ISO-8601 in UTC with `Z`. Raises ValueError for a time without zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; pass an aware UTC time")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def masked(record: Mapping[str, Any], masker: Callable[[str], str] = mask) -> dict[str, Any]:
    """The record with its content fields masked; all other fields as they are."""
    return {name: mask_json(value, masker) if name in CONTENT_FIELDS else value for name, value in record.items()}


def segments(folder: Path | str) -> list[Segment]:
    """All segments of the landing folder, by source and number. Raises LandingError when there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise LandingError(f"no landing folder at {folder}; a producer, or `controlplane up`, makes it")
    found: list[Segment] = []
    for source in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = sorted(source.glob("*.jsonl"))
        found += [_segment(source.name, path, path == paths[-1]) for path in paths]
    return found


def _encode(record: Mapping[str, Any], masker: Callable[[str], str]) -> bytes:
    text = json.dumps(masked(record, masker), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def _segment(source: str, path: Path, newest: bool) -> Segment:
    # First whether it is alive, then its size: the size of a segment that nobody writes to any more is final.
    alive = _held(path)
    return Segment(source, path, path.stat().st_size, alive, newest)


def _held(path: Path) -> bool:
    """Whether a writer holds the segment: its lock dies with its process, so this needs no clock and no process list."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _sync_folder(folder: Path) -> None:
    """The folder's entry of a new file must survive a crash too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
