"""Labelled texts from a file of anybody's: csv, tsv, json lines (also .gz) or Parquet, every problem named with its place.

Rules
- Columns are given, or found by name when exactly the usual names fit; otherwise the error lists what the file has.
- A row without text or label is not used, and is counted and named: nothing is dropped silently.
- Row numbers count data rows from 1 (for json lines: lines of the file).
"""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

TEXT_NAMES = ("text", "utterance", "message", "query", "question", "sentence", "instruction")
LABEL_NAMES = ("label", "intent", "category", "class", "target")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson", ".json")
TEXTLIKE = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null)
FORMATS = ".csv, .tsv, .jsonl (each also .gz) or .parquet"


class LabelledFileError(Exception):
    """A labelled file cannot be used; the message names file, place and remedy."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A text, its label, and the row it came from."""

    text: str
    label: str
    row: int


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A read file: usable `rows` in order, the columns they came from, and the row numbers that lacked text or label."""

    path: Path
    rows: tuple[LabelledRow, ...]
    text_column: str
    label_column: str
    empty_text: tuple[int, ...]
    empty_label: tuple[int, ...]
    sha256: str

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(sorted({row.label for row in self.rows}))

    def left_out(self) -> str:
        """One sentence on what was not used; empty when everything was."""
        found = [
            f"{len(rows)} without {what} (rows {', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else ''})"
            for what, rows in (("text", self.empty_text), ("label", self.empty_label))
            if rows
        ]
        return f"{self.path}: not used: {'; '.join(found)}" if found else ""


def read_labelled(path: Path, text_column: str | None = None, label_column: str | None = None) -> LabelledFile:
    """Reads texts and labels; raises `LabelledFileError` for a missing file, column or row that cannot be read."""
    frame = read_table(path)
    text_name = pick_column(frame, path, text_column, TEXT_NAMES, "--text-column")
    others = [name for name in frame.columns if name != text_name]
    label_name = pick_column(frame, path, label_column, LABEL_NAMES, "--label-column", others)
    rows, no_text, no_label = [], [], []
    values = zip(_texts(frame, text_name, path), _texts(frame, label_name, path), strict=True)
    for number, (text, label) in enumerate(values, start=1):
        if not text:
            no_text.append(number)
        elif not label:
            no_label.append(number)
        else:
            rows.append(LabelledRow(text, label, number))
    if not rows:
        raise LabelledFileError(f"{path} has no row with both {text_name} and {label_name}: give other columns")
    digest = hashlib.sha256(json.dumps([(row.text, row.label) for row in rows]).encode()).hexdigest()
    return LabelledFile(path, tuple(rows), text_name, label_name, tuple(no_text), tuple(no_label), digest)


def read_table(path: Path) -> pl.DataFrame:
    """Any supported file as a table; csv columns are text."""
    if not path.is_file():
        raise LabelledFileError(f"{path} is not a file: give one with extension {FORMATS}")
    suffix = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in (*SEPARATORS, *LINES, ".parquet"):
        raise LabelledFileError(f"{path}: unknown extension {suffix or '(none)'}, expected {FORMATS}")
    try:
        if suffix == ".parquet":
            return pl.read_parquet(path)
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
        if suffix in LINES:
            return _json_lines(content.decode("utf-8-sig"), path)
        return _separated(content.decode("utf-8-sig"), suffix, path)
    except (gzip.BadGzipFile, EOFError) as error:
        raise LabelledFileError(f"{path} is not a whole gzip file ({error}): write it again") from None
    except UnicodeDecodeError as error:
        raise LabelledFileError(f"{path} is not UTF-8 at byte {error.start}: convert it") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise LabelledFileError(f"{path} cannot be read as {suffix.removeprefix('.')}: {reason}") from None


def pick_column(
    frame: pl.DataFrame,
    path: Path,
    given: str | None,
    names: Sequence[str],
    option: str,
    candidates: Sequence[str] | None = None,
) -> str:
    """The given column if the file has it, else the first usual name among the candidates, case ignored."""
    if given is not None:
        if given not in frame.columns:
            raise LabelledFileError(f"{path} has no column {given!r} ({option}): it has {', '.join(frame.columns)}")
        return given
    by_name = {name.strip().lower(): name for name in (frame.columns if candidates is None else candidates)}
    for name in names:
        if name in by_name:
            return by_name[name]
    raise LabelledFileError(
        f"{path} has no column called {', '.join(names)}: choose one of {', '.join(frame.columns)} with {option}"
    )


def _separated(text: str, suffix: str, path: Path) -> pl.DataFrame:
    """A .csv field in quotes may hold separators, quotes and line ends; a .tsv knows no quoting, a quotation mark is a letter."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(
        lines,
        delimiter=SEPARATORS[suffix],
        strict=True,
        quoting=csv.QUOTE_NONE if suffix == ".tsv" else csv.QUOTE_MINIMAL,
    )
    rows = []
    try:
        header = next(reader, [])
        if not header:
            raise LabelledFileError(f"{path} is empty: give a file with a header and rows")
        if len(set(header)) < len(header):
            raise LabelledFileError(f"{path} has two columns of one name ({', '.join(header)}): rename one")
        for row in reader:
            if row and len(row) != len(header):
                raise LabelledFileError(
                    f"{path} line {reader.line_num} has {len(row)} fields, the header {len(header)}: "
                    "put quotes around fields with separators in them"
                )
            rows.append(row or [""] * len(header))
    except csv.Error as error:
        raise LabelledFileError(f"{path} line {reader.line_num} cannot be read ({error}): check its quotes") from None
    return pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row")


def _json_lines(text: str, path: Path) -> pl.DataFrame:
    """One object a line; an empty line is a row without text, so that row numbers stay line numbers."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            value = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError as error:
            raise LabelledFileError(
                f"{path} line {number} is not JSON ({error.msg}): write one object a line"
            ) from None
        if not isinstance(value, dict):
            raise LabelledFileError(f"{path} line {number} is not an object: write one object a line")
        rows.append(
            {key: item if item is None or isinstance(item, str) else json.dumps(item) for key, item in value.items()}
        )
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise LabelledFileError(f"{path} is empty: give a file with one object a line")
    return pl.DataFrame(
        {name: [row.get(name) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )


def _texts(frame: pl.DataFrame, column: str, path: Path) -> list[str]:
    """A column as stripped text; null is empty."""
    series = frame[column]
    if not (series.dtype in TEXTLIKE or series.dtype.is_numeric()):
        raise LabelledFileError(f"{path} column {column!r} holds {series.dtype}, expected text or numbers")
    return series.cast(pl.String).fill_null("").str.strip_chars().to_list()
