"""Files that people bring to the drift analysis, as Parquet: CSV, JSON lines, Parquet, each plain or .gz.

Rules
- A CSV has no types: every column is kept as text, and what it reads as is decided from all values of both sides (drift_kinds), not from
  the first rows of one. An empty field is a missing value.
- Everything else about a file that can't be used is one sentence: which file, where, what to do.
"""

from __future__ import annotations

import csv
import gzip
import shutil
import zlib
from pathlib import Path

import duckdb

from controlplane.analysis.drift import Table

PARQUET = frozenset({".parquet", ".pq"})
SEPARATED = {".csv": None, ".tsv": "\t"}
LINES = frozenset({".jsonl", ".ndjson", ".json"})
SEPARATORS = (",", ";", "\t", "|")
LONGEST_HEADER = 1 << 20
ENDINGS = ".csv, .tsv, .parquet, .pq, .jsonl, .ndjson, .json, each also with .gz"


class InputError(ValueError):
    """A file that can't be used; the message says which, why and what to do."""


def as_table(cursor: duckdb.DuckDBPyConnection, path: Path, target: Path) -> Table:
    """The file as Parquet: itself, or written to `target`. Raises InputError, FileNotFoundError or IsADirectoryError with a message."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name one file in it")
    if not path.is_file():
        raise FileNotFoundError(f"no rows to compare: {path} does not exist")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty (0 bytes); write at least a header line")
    zipped = path.suffix.lower() == ".gz"
    ending = (path.with_suffix("") if zipped else path).suffix.lower()
    if ending not in PARQUET | LINES | SEPARATED.keys():
        raise InputError(f"{path}: files end with {ENDINGS}; rename or convert it")
    try:
        if ending in PARQUET:
            return Table(_checked(cursor, _unzipped(path, target) if zipped else path))
        separated = ending in SEPARATED
        rows = _separated(cursor, path, zipped, SEPARATED[ending]) if separated else _lines(cursor, path)
        rows.write_parquet(str(target))
    except (duckdb.Error, csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error, RuntimeError) as error:
        raise InputError(f"{path} can't be read as {ending[1:]}: {_first_lines(error)}") from error
    return Table(target, untyped=separated)


def _lines(cursor: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    """Types from all lines, not from the first ones."""
    return cursor.read_json(str(path), sample_size=-1)


def _separated(
    cursor: duckdb.DuckDBPyConnection, path: Path, zipped: bool, delimiter: str | None
) -> duckdb.DuckDBPyRelation:
    """All columns as text. The header decides how fields are separated, so that a line of another length is an error with its number.

    Guessing from the lines, as DuckDB would, turns such a file into one column of whole lines.
    """
    with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else path.open(encoding="utf-8-sig") as file:
        first = file.readline(LONGEST_HEADER)
    separator = delimiter or max(SEPARATORS, key=first.count)
    names: dict[str, str] = {}
    for position, name in enumerate(next(csv.reader([first], delimiter=separator), [])):
        plain = name.strip() or f"column{position}"
        while plain.lower() in names:  # DuckDB's names are the same in any case
            plain = f"{plain}_{position}"
        names[plain.lower()] = plain
    if not names:
        raise InputError(f"{path}: the first line is empty; it has to name the columns")
    return cursor.read_csv(
        str(path),
        header=True,
        auto_detect=False,
        columns=dict.fromkeys(names.values(), "VARCHAR"),
        delimiter=separator,
        quotechar='"',
        escapechar='"',
    )


def _unzipped(path: Path, target: Path) -> Path:
    with gzip.open(path) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    return target


def _checked(cursor: duckdb.DuckDBPyConnection, path: Path) -> Path:
    cursor.read_parquet(str(path)).limit(0).fetchall()
    return path


def _first_lines(error: BaseException) -> str:
    """The error's first two lines: which line of the file, and what is wrong with it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
