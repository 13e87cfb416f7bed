"""Reads real customer messages from a file: CSV, TSV, JSON lines or Parquet, plain or gzipped.

The text column is the one that is named, else the best known name (a whole name before a part of one), else the only column of
text. Whatever cannot be decided is an error that lists the columns.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl

TEXT_NAMES = (
    "text",
    "utterance",
    "message",
    "query",
    "question",
    "narrative",
    "content",
    "body",
    "instruction",
    "prompt",
    "comment",
    "user",
    "input",
)
FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


class MessagesError(ValueError):
    """A file of messages cannot be used; the text names the file, the reason and the remedy."""


def read_messages(path: Path, text_column: str | None = None, limit: int | None = None) -> list[str]:
    """Messages in file order; nulls and blanks are left out. Raises `MessagesError`."""
    if limit is not None and limit < 1:
        raise MessagesError(f"limit must be at least 1, got {limit}")
    frame = _read(path)
    column = _text_column(path, frame, text_column)
    texts = frame.get_column(column).drop_nulls()
    texts = texts.filter(texts.str.strip_chars() != "")
    if texts.is_empty():
        raise MessagesError(f"{path}: column {column!r} holds no text; columns are {_listed(frame)}")
    return (texts if limit is None else texts.head(limit)).to_list()


def _read(path: Path) -> pl.DataFrame:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    if not kind or kind[0] not in FORMATS:
        raise MessagesError(f"{path}: unknown format; give one of {', '.join(FORMATS)}, plain or with .gz")
    try:
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        return _parse(data, kind[0])
    except FileNotFoundError:
        raise MessagesError(f"{path} does not exist: name a file with customer messages") from None
    except (OSError, EOFError) as error:
        raise MessagesError(f"{path} cannot be read: {error}") from None
    except pl.exceptions.PolarsError as error:
        raise MessagesError(f"{path} is not valid {kind[0][1:]}: {str(error).splitlines()[0]}") from None


def _parse(data: bytes, kind: str) -> pl.DataFrame:
    if not data.strip():
        return pl.DataFrame()
    if kind == ".parquet":
        return pl.read_parquet(data)
    if kind == ".csv":
        return pl.read_csv(data, infer_schema=False)
    if kind == ".tsv":
        return pl.read_csv(data, separator="\t", quote_char=None, infer_schema=False)
    if kind == ".json" and data.lstrip()[:1] == b"[":
        return pl.read_json(data, infer_schema_length=None)
    return pl.read_ndjson(data, infer_schema_length=None)


def _text_column(path: Path, frame: pl.DataFrame, wanted: str | None) -> str:
    if not frame.columns:
        raise MessagesError(f"{path} is empty: it needs a header or fields, and one message a row")
    if wanted is not None:
        if wanted not in frame.columns:
            raise MessagesError(f"{path} has no column {wanted!r}; columns are {_listed(frame)}")
        if frame.schema[wanted] != pl.String:
            raise MessagesError(
                f"{path}: column {wanted!r} holds {frame.schema[wanted]}, not text; columns are {_listed(frame)}"
            )
        return wanted
    textual = [name for name, kind in frame.schema.items() if kind == pl.String]
    lowered = {name.casefold(): name for name in reversed(textual)}
    for known in TEXT_NAMES:
        if known in lowered:
            return lowered[known]
    for known in TEXT_NAMES:
        parts = [name for name in textual if known in name.casefold()]
        if len(parts) == 1:
            return parts[0]
    if len(textual) == 1:
        return textual[0]
    raise MessagesError(
        f"{path}: cannot tell which column holds the messages; name one with --text-column: {_listed(frame)}"
    )


def _listed(frame: pl.DataFrame) -> str:
    return ", ".join(frame.columns)
