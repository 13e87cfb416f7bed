"""Exactly-once ingest: finished files and the landing folder -> facts.

Rules
- Rows, conversations, quarantine, ledger and watermark of a slice are one transaction (see slices.py). A run that dies is
  simply run again: what is stored is recognised by id and content, so nothing is lost and nothing doubled.
- A finished file is always read whole; a second read finds duplicates, also under another name. A segment of the landing
  folder is read on from where the ledger says, because its writer is still adding to it.
- The last line of a live segment may be half written: it waits. When its writer is gone and a newer segment exists (or the
  folder is sealed) it is judged like any other line; torn, it goes to quarantine, because it was never acknowledged.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controlplane.ingest.columns import ColumnMap, parse_map
from controlplane.ingest.lines import fingerprint
from controlplane.store.landing import Segment, segments
from controlplane.store.queries import load
from controlplane.store.reading import (
    SLICE_BYTES,
    Batch,
    BoundedStream,
    SourceError,
    file_batches,
    first_row,
    known_format,
    line_batches,
)
from controlplane.store.slices import (
    TRANSACTION_BYTES,
    IngestCounts,
    IngestError,
    Observer,
    Origin,
    SliceStore,
    nothing,
)
from controlplane.store.warehouse import Warehouse

__all__ = [
    "IngestCounts",
    "IngestError",
    "LandingIngest",
    "SourceError",
    "ingest_file",
    "ingest_landing",
    "known_format",
    "load_map",
]

_MAPS = Path(__file__).resolve().parent.parent / "ingest" / "maps"


@dataclass(frozen=True, slots=True)
class LandingIngest:
    """What one look at the landing folder brought. `touched` = first and last minute (naive UTC) whose rollups are stale."""

    counts: IngestCounts
    slices: int
    touched: tuple[datetime, datetime] | None


def load_map(name: str) -> ColumnMap:
    """A column map by path, or by the name of one that ships (for example "tau_bench").
    Raises SourceError when there is no such file, ColumnMapError when it is wrong."""
    path = Path(name)
    if not path.is_file():
        path = _MAPS / f"{path.name.removesuffix('.toml')}.toml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in _MAPS.glob("*.toml")))
        raise SourceError(f"no column map {name}: neither a file nor one of those that ship ({known})")
    return parse_map(path.read_text(encoding="utf-8"), str(path))


def ingest_file(
    warehouse: Warehouse,
    path: Path | str,
    *,
    source: str,
    now: datetime,
    key: bytes,
    map: ColumnMap | None = None,
    live: bool = False,
    slice_bytes: int = SLICE_BYTES,
    transaction_bytes: int = TRANSACTION_BYTES,
    observe: Observer = nothing,
    progress: Callable[[int], None] | None = None,
) -> IngestCounts:
    """Store what a finished file holds: JSON lines, CSV, TSV or Parquet, perhaps gzipped.

    `source` names the producer, `key` (up to 64 bytes, always the same in one warehouse) keys the fingerprints, `map`
    translates other names, `live` says that blocks wait for this source's watermark; `progress` is told the bytes read.
    Raises SourceError when the file can't be read, IngestError when a slice can't be stored (the slices before it are).
    """
    path = Path(path)
    _check_readable(path)
    origin = Origin(source, str(path), f"file/{fingerprint(first_row(path), key):016x}", live)
    total = IngestCounts()
    with SliceStore(warehouse, now, key, observe, transaction_bytes) as store:
        for batch in _read_ahead(file_batches(path, key, map, slice_bytes)):
            total += store.store(batch, origin)
            if progress:
                progress(batch.consumed)
        store.finish(origin)
    return total


def ingest_landing(
    warehouse: Warehouse,
    folder: Path | str,
    *,
    now: datetime,
    key: bytes,
    sealed: bool = False,
    slice_bytes: int = SLICE_BYTES,
    transaction_bytes: int = TRANSACTION_BYTES,
    observe: Observer = nothing,
) -> LandingIngest:
    """Store what is new in the landing folder. `sealed` says that no writer will ever finish a torn last line.
    Raises LandingError when there is no folder, IngestError when a slice can't be stored."""
    found = segments(folder)
    positions = _positions(warehouse)
    fresh = [each for each in found if _has_news(each, positions.get(each.key))]
    if not fresh:
        return LandingIngest(IngestCounts(), 0, None)
    before = _last_batch(warehouse)
    total, slices = IngestCounts(), 0
    with SliceStore(warehouse, now, key, observe, transaction_bytes) as store:
        for segment in fresh:
            origin = Origin(segment.source, str(segment.path), segment.key, live=True)
            final = not segment.alive and (sealed or not segment.newest)
            for batch in _news(segment, positions.get(segment.key), key, slice_bytes, final):
                total += store.store(batch, origin)
                slices += 1
            if final:
                store.finish(origin)
    return LandingIngest(total, slices, _touched(warehouse, before) if slices else None)


def _news(
    segment: Segment, position: tuple[int, int, bool] | None, key: bytes, slice_bytes: int, final: bool
) -> Iterator[Batch]:
    """What was added to the segment since the ledger's position; the half-written last line only when it is final. Reads
    no further than the segment went when it was looked at, or a busy writer would keep this job for ever."""
    offset, line, _ = position or (0, 1, False)
    with segment.path.open("rb") as stream:
        stream.seek(offset)
        part = BoundedStream(stream, segment.size - offset)
        yield from line_batches(part, key, start=offset, first_line=line, slice_bytes=slice_bytes, keep_tail=not final)


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise SourceError(f"{path} is a folder; name the files in it")
    if not path.exists():
        raise SourceError(f"no file {path}")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty; nothing to ingest")


def _read_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches, the next one being cut and hashed in a thread while the database works on this one."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _has_news(segment: Segment, position: tuple[int, int, bool] | None) -> bool:
    if position is None:
        return segment.size > 0
    offset, _, done = position
    return not done and segment.size > offset


def _positions(warehouse: Warehouse) -> dict[str, tuple[int, int, bool]]:
    cursor = warehouse.cursor()
    try:
        rows = cursor.execute(load("staging/file_positions")).fetchall()
    finally:
        cursor.close()
    return {str(file_key): (int(offset), int(line), bool(done)) for file_key, offset, line, done in rows}


def _last_batch(warehouse: Warehouse) -> int:
    cursor = warehouse.cursor()
    try:
        return int(cursor.execute(load("staging/next_batch")).fetchall()[0][0]) - 1
    finally:
        cursor.close()


def _touched(warehouse: Warehouse, before: int) -> tuple[datetime, datetime] | None:
    cursor = warehouse.cursor()
    try:
        values = {"first": before + 1, "last": 2**62}
        first, last = cursor.execute(load("staging/touched_span"), values).fetchall()[0]
    finally:
        cursor.close()
    return None if first is None else (first, last)
