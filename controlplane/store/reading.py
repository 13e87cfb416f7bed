"""Opens log files and hands them on in batches of bounded size, ready for the staging SQL.

Rules
- JSON lines (plain or gzip) are read in blocks of whole lines; the bytes go to Arrow as they are, without being decoded.
- CSV, TSV and Parquet rows, and everything that goes through a column map, become records here, a few thousand at a time;
  the fingerprint of such a record is that of its source row.
- A row that can't become a record is a Reject with its line, never an exception. Only a file that can't be read at all
  raises SourceError.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from controlplane.ingest.columns import ColumnMap, UnmappedRow
from controlplane.ingest.conversations import interactions
from controlplane.ingest.lines import Lines, Reject, cut, fingerprint, oversized_reject
from controlplane.ingest.reasons import Reason
from controlplane.ingest.schema import INTERACTION, MAX_RECORD_BYTES, RECORDS
from controlplane.ingest.values import canonical, plain, typed_record

if TYPE_CHECKING:
    from _csv import Reader

SLICE_BYTES = 32 * 1024 * 1024
ROWS_AT_ONCE = 20_000
_CHUNK_ROWS = 4096
_BOM = b"\xef\xbb\xbf"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LINE_SUFFIXES = (".jsonl", ".ndjson", ".json", ".log", ".txt", "")


class SourceError(Exception):
    """A file can't be read at all; the message names it, the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one slice: `table` (row_id, line, raw_hash, text) for the staging SQL, rejects beside it.
    `rows` counts the source rows in it: fewer than records where a row holds a conversation. `start` and `end` are byte
    offsets in plain JSON lines, else row numbers; `consumed` counts bytes read from the disk."""

    table: pa.Table
    rows: int
    rejects: tuple[Reject, ...]
    start: int
    end: int
    next_line: int
    consumed: int
    torn_line: int | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A source row of a tabular or mapped file: its cells, its raw text, and what makes it unreadable."""

    line: int
    cells: Mapping[str, Any]
    raw: str
    problem: Reason | None = None
    field: str | None = None


class ByteStream(Protocol):
    """What line reading needs of a file."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...

    def tell(self) -> int:
        """The position in bytes."""
        ...


class BoundedStream:
    """The next `left` bytes of a stream."""

    def __init__(self, stream: BinaryIO, left: int) -> None:
        self._stream = stream
        self._left = left

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data

    def tell(self) -> int:
        """The position in the underlying stream."""
        return self._stream.tell()


def file_batches(path: Path, key: bytes, columns: ColumnMap | None, slice_bytes: int = SLICE_BYTES) -> Iterator[Batch]:
    """All of a file, whatever its format. `key` keys the fingerprints. Raises SourceError."""
    with opened(path) as (stream, consumed):
        suffix = _suffix(path)
        if suffix == ".parquet":
            yield from _records(_parquet_rows(path), key, columns, consumed, False)
        elif suffix in _SEPARATORS:
            yield from _records(_csv_rows(stream, _SEPARATORS[suffix], path), key, columns, consumed, True)
        elif columns is not None:
            yield from _records(_json_rows(stream), key, columns, consumed, False)
        else:
            yield from line_batches(stream, key, slice_bytes=slice_bytes, consumed=consumed)


def known_format(path: Path) -> bool:
    """Whether the file's name says that it can be read."""
    return _suffix(path) in (*_SEPARATORS, *_LINE_SUFFIXES, ".parquet")


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """The bytes of a file, gunzipped where its name says so, and how many were read from the disk so far."""
    if not known_format(path):
        raise SourceError(
            f"{path}: unknown format; JSON lines (.jsonl, .ndjson), .csv, .tsv, .parquet, or .gz of the first"
        )
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as stream:
                    yield stream, raw.tell  # type: ignore[misc]
            else:
                yield raw, raw.tell
    except (gzip.BadGzipFile, zlib.error, EOFError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path}: the file is damaged: {error}; export it again") from error
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error


def first_row(path: Path) -> bytes:
    """The first two lines (a CSV's header and first row; a Parquet file never grows, there its beginning and size): what
    tells one file from another, also when it was moved or appended to."""
    with opened(path) as (stream, _):
        if _suffix(path) == ".parquet":
            return stream.read(MAX_RECORD_BYTES) + str(path.stat().st_size).encode()
        return stream.readline(MAX_RECORD_BYTES) + stream.readline(MAX_RECORD_BYTES)


def line_batches(
    stream: ByteStream,
    key: bytes,
    *,
    start: int = 0,
    first_line: int = 1,
    slice_bytes: int = SLICE_BYTES,
    keep_tail: bool = False,
    consumed: Callable[[], int] | None = None,
) -> Iterator[Batch]:
    """JSON lines from a stream that stands at byte `start`, where line `first_line` begins. With `keep_tail` a last line
    without line end is left for later (its writer may be about to finish it); else it is the last line."""
    rest, offset, line = b"", start, first_line
    progress = consumed or stream.tell
    while chunk := stream.read(slice_bytes):
        block = rest + chunk if rest else chunk
        if offset == 0 and block.startswith(_BOM):
            block, offset = block[3:], 3
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) > max(slice_bytes, 2 * MAX_RECORD_BYTES):
            reject, length, rest = _skip_giant(stream, block, line, key, slice_bytes)
            yield Batch(
                _table(np.empty(0, np.int64), np.empty(0, np.uint64), []),
                0,
                (reject,),
                offset,
                offset + length,
                line + 1,
                progress(),
            )
            offset, line = offset + length, line + 1
            continue
        whole, rest = (block[:end], block[end:]) if end < len(block) else (block, b"")
        if whole:
            batch = _line_batch(whole, offset, line, key, progress(), False)
            yield batch
            offset, line = batch.end, batch.next_line
    if rest and not keep_tail:
        yield _line_batch(rest, offset, line, key, progress(), True)


def _line_batch(block: bytes, offset: int, first_line: int, key: bytes, consumed: int, torn: bool) -> Batch:
    lines = cut(block, first_line, key)
    table = _table(lines.keep + first_line, lines.hashes, _texts(block, lines))
    last = first_line + lines.count - 1
    return Batch(
        table, len(lines.keep), lines.rejects, offset, offset + len(block), last + 1, consumed, last if torn else None
    )


def _skip_giant(stream: ByteStream, block: bytes, line: int, key: bytes, slice_bytes: int) -> tuple[Reject, int, bytes]:
    """A line longer than a slice: read on to its end without keeping it. Returns the reject, the line's length in bytes
    and what was read beyond it."""
    digest = blake2b(block, digest_size=8, key=key)
    length, rest = len(block), b""
    while chunk := stream.read(slice_bytes):
        end = chunk.find(b"\n") + 1
        part, rest = (chunk[:end], chunk[end:]) if end else (chunk, b"")
        digest.update(part.removesuffix(b"\n").removesuffix(b"\r"))
        length += len(part)
        if end:
            break
    return oversized_reject(line, block, int.from_bytes(digest.digest(), "little")), length, rest


def _texts(block: bytes, lines: Lines) -> pa.Array:
    """The lines as Arrow strings that point into the block; line ends stay, JSON takes them for white space."""
    offsets = pa.py_buffer(lines.offsets)
    texts = pa.StringArray.from_buffers(lines.count, offsets, pa.py_buffer(block))
    return texts if len(lines.keep) == lines.count else texts.take(_arrow(lines.keep))


def _arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """A numpy array as Arrow without a copy. (pa.array would import pandas: a second and 60 MB.)"""
    kinds = {"int64": pa.int64(), "uint64": pa.uint64()}
    return pa.Array.from_buffers(
        kinds[values.dtype.name], len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )


def _table(lines: np.ndarray[Any, Any], hashes: np.ndarray[Any, Any], texts: Any) -> pa.Table:
    """Small chunks, because DuckDB gives each chunk of an Arrow table to one thread."""
    columns = {
        "row_id": _arrow(np.arange(len(lines), dtype=np.int64)),
        "line": _arrow(lines.astype(np.int64, copy=False)),
        "raw_hash": _arrow(hashes.astype(np.uint64, copy=False)),
        "text": texts if isinstance(texts, pa.Array) else _strings(texts),
    }
    table = pa.table(columns)
    return pa.Table.from_batches(table.to_batches(max_chunksize=_CHUNK_ROWS), table.schema)


def _strings(texts: list[str]) -> pa.Array:
    """Texts as Arrow strings; see _arrow for why not pa.array."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(each) for each in encoded], out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def _records(
    rows: Iterable[_Row], key: bytes, columns: ColumnMap | None, consumed: Callable[[], int], textual: bool
) -> Iterator[Batch]:
    """Batches of records made from source rows. A row may become several records (a conversation's turns); they share
    its line and its fingerprint."""
    lines: list[int] = []
    hashes: list[int] = []
    texts: list[str] = []
    rejects: list[Reject] = []
    start = done = 0
    next_line = 1
    for row in rows:
        raw_hash = fingerprint(row.raw.encode("utf-8", "replace"), key)
        outcome = _convert(row, raw_hash, columns, textual)
        if isinstance(outcome, Reject):
            rejects.append(outcome)
        else:
            texts += outcome
            lines += [row.line] * len(outcome)
            hashes += [raw_hash] * len(outcome)
        done, next_line = done + 1, row.line + 1
        if len(lines) + len(rejects) >= ROWS_AT_ONCE:
            yield _record_batch(lines, hashes, texts, rejects, start, done, next_line, consumed())
            lines, hashes, texts, rejects, start = [], [], [], [], done
    if lines or rejects:
        yield _record_batch(lines, hashes, texts, rejects, start, done, next_line, consumed())


def _record_batch(
    lines: list[int],
    hashes: list[int],
    texts: list[str],
    rejects: list[Reject],
    start: int,
    end: int,
    next_line: int,
    consumed: int,
) -> Batch:
    table = _table(np.array(lines, dtype=np.int64), np.array(hashes, dtype=np.uint64), texts)
    return Batch(table, end - start - len(rejects), tuple(rejects), start, end, next_line, consumed)


def _convert(row: _Row, raw_hash: int, columns: ColumnMap | None, textual: bool) -> list[str] | Reject:
    """The JSON texts of a row's records, or why it has none."""
    if row.problem:
        return Reject(row.line, row.problem, row.raw[:MAX_RECORD_BYTES], raw_hash, row.field)
    if len(row.raw) > MAX_RECORD_BYTES and columns is None:
        return oversized_reject(row.line, row.raw.encode("utf-8", "replace"), raw_hash)
    try:
        if columns is None:
            records = [{name: cell for name, cell in row.cells.items() if cell not in ("", None)}]
        else:
            records = interactions(row.cells, columns) if columns.messages else [columns.apply(row.cells)]
    except UnmappedRow as error:
        return Reject(row.line, Reason.UNMAPPED, row.raw[:MAX_RECORD_BYTES], raw_hash, str(error))
    if textual:
        records = [typed_record(record, RECORDS.get(str(record.get("record")), INTERACTION)) for record in records]
    texts = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records]
    if any(len(text) > MAX_RECORD_BYTES for text in texts):
        return oversized_reject(row.line, row.raw.encode("utf-8", "replace"), raw_hash)
    return texts


def _json_rows(stream: BinaryIO) -> Iterator[_Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield _Row(number, {}, line.decode("utf-8", "backslashreplace"), Reason.INVALID_UTF8)
            continue
        except (ValueError, RecursionError):
            yield _Row(number, {}, line.decode("utf-8"), Reason.NOT_JSON)
            continue
        if isinstance(cells, dict):
            cells = plain(cells)
            yield _Row(number, cells, canonical(cells))
        else:
            yield _Row(number, {}, line.decode("utf-8"), Reason.NOT_JSON)


def _csv_rows(stream: BinaryIO, separator: str, path: Path) -> Iterator[_Row]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="backslashreplace", newline="")
    try:
        reader = csv.reader(text, delimiter=separator, strict=True)
        header = next(reader, [])
        if len(set(header)) != len(header) or "" in header:
            raise SourceError(f"{path}: the header must name every column once: {', '.join(header)}")
        yield from _table_rows(reader, header, separator)
    finally:
        text.detach()  # or the wrapper would close the stream, which is not its own


def _table_rows(reader: "Reader", header: list[str], separator: str) -> Iterator[_Row]:
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Row(line, {}, "", Reason.UNREADABLE_ROW, str(error))
            continue
        if len(row) == len(header):
            cells = dict(zip(header, row, strict=True))
            yield _Row(line, cells, canonical(cells))
        elif row:
            problem = f"{len(row)} cells for {len(header)} columns"
            yield _Row(line, {}, separator.join(row), Reason.UNREADABLE_ROW, problem)


def _parquet_rows(path: Path) -> Iterator[_Row]:
    number = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            for cells in batch.to_pylist():
                number += 1
                cells = plain(cells)
                yield _Row(number, cells, canonical(cells))


def _suffix(path: Path) -> str:
    suffixes = path.with_suffix("") if path.suffix == ".gz" else path
    return suffixes.suffix.lower()
