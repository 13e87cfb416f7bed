"""Rows from where support data already is: labelled files of any columns, our own row files, and conversations from the facts.

A file whose rows have our keys (`text` or `turns`, and nothing unknown) is read as such; any other needs its text column named. Rows from
production keep their origin; their text was masked when it landed and is masked again here, so that a file of rows never holds personal data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.core.masking import mask
from controlplane.evaluation.cases import KEYS, NO_ROUTE, Case, CaseError, case_of

Row = Mapping[str, Any]
FILE = "file"
LINES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Columns:
    """How a labelled file is read. `out_of_scope` is the label of texts that are none of ours; `sensitive` labels must reach a person."""

    text: str | None = None
    label: str | None = None
    topic: str | None = None
    out_of_scope: str | None = None
    sensitive: tuple[str, ...] = ()


def cases_of_file(path: Path, columns: Columns, origin: str | None = None) -> list[Case]:
    """The cases of one file: JSON lines, CSV (also .gz) or Parquet. Raises `CaseError` naming file, line or row, and remedy."""
    where = origin or FILE  # not the file's name: the same rows are the same version wherever they lie
    if columns.text is None and columns.label is None:
        found = list(_own_rows(path))
        foreign = sorted({key for _, row in found for key in row} - set(KEYS))
        if foreign and not path.name.removesuffix(".gz").lower().endswith(LINES):
            known = ", ".join(sorted({key for _, row in found for key in row}))
            raise CaseError(
                f"{path}: {', '.join(foreign)} is no key of a row: name the label's with --label-column and the message's with "
                f"--text-column, one of {known}"
            )
        if all(set(row) & {"text", "turns"} for _, row in found):
            return [case_of(row, place, where) for place, row in found]
        names = sorted({key for _, row in found for key in row})
        raise CaseError(f"{path}: no column 'text': name it with --text-column, one of {', '.join(names)}")
    rows = table_rows(path)
    needed = [name for name in (columns.text, columns.label, columns.topic) if name]
    if not rows:
        raise CaseError(f"{path}: there is no row in it")
    missing = [name for name in needed if name not in rows[0]]
    if missing:
        raise CaseError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, rows[0]))}")
    return [
        _labelled(row, columns, where, f"{path}: row {number}")
        for number, row in enumerate(rows, start=1)
        if row[columns.text or "text"] not in (None, "")
    ]


def cases_of_facts(rows: Iterable[Sequence[Any]], origin: str) -> list[Case]:
    """Cases of the queries sql/datasets: conversation_id, question, channel, segment, region, intent_true, intent_pred.

    Only the first message is kept: later ones answer what a release said then. `{id}` in `origin` is the conversation's.
    The topic is what a person said the intent was, else what the release took it for.
    """
    found = []
    for conversation, question, channel, segment, region, intent_true, intent_pred in rows:
        slices = {"channel": channel, "segment": segment, "region": region, "topic": intent_true or intent_pred}
        found.append(
            Case(
                id=str(conversation),
                turns=(mask(str(question)),),
                expected_intent=intent_true,
                slices={key: str(value) for key, value in slices.items() if value},
                origin=origin.format(id=conversation),
                note="intent as labelled by a person" if intent_true else "",
            )
        )
    return [case_of(case.row(), f"conversation {case.id}") for case in found]


def table_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a table file as dictionaries. Raises `CaseError` for a format that is not read, or a file that is none."""
    if path.name.removesuffix(".gz").lower().endswith(LINES):
        return [dict(row) for _, row in _own_rows(path)]
    from controlplane.evaluation.labelled_files import LabelledFileError, read_table

    try:
        return read_table(path).to_dicts()
    except LabelledFileError as error:
        raise CaseError(str(error)) from None


def _own_rows(path: Path) -> Iterator[tuple[str, Row]]:
    if not path.name.removesuffix(".gz").lower().endswith(LINES):
        for number, row in enumerate(table_rows(path), start=1):
            yield f"{path}: row {number}", {key: value for key, value in row.items() if value not in (None, "")}
        return
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CaseError(f"{path}:{number}: no JSON: {error}") from None
        if not isinstance(row, dict):
            raise CaseError(f"{path}:{number}: a row is one JSON object")
        yield f"{path}:{number}", row


def _text(path: Path) -> str:
    import gzip

    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: cannot be read: {error}") from None


def _labelled(row: Row, columns: Columns, origin: str, place: str) -> Case:
    text, label = str(row[columns.text or "text"]), row.get(columns.label) if columns.label else None
    value: dict[str, Any] = {"text": mask(text), "origin": origin}
    if label is not None:
        beyond = columns.out_of_scope is not None and str(label) == columns.out_of_scope
        if beyond:
            value |= {"out_of_scope": True}
        else:
            value |= {"expected_intent": str(label)}
        if columns.sensitive:
            value |= {"mandatory_route": str(label) if label in columns.sensitive else NO_ROUTE}
        value |= {"slices": {"topic": str(label)}}
    if columns.topic and row.get(columns.topic):
        value |= {"slices": {"topic": str(row[columns.topic])}}
    return case_of(value, place)
