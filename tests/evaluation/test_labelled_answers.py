"""Files of labelled answers in every format, and what is said about a file that cannot be used."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from controlplane.evaluation.labelled_answers import LabelledAnswers, read_labelled_answers
from controlplane.evaluation.labelled_files import LabelledFileError

ROWS = [
    {"context": 'The "gold" card is free,\nalways.', "answer": "It is free.", "grounded": 1},
    {"context": "Lines\tand tabs", "answer": "Ünïcode, £5", "grounded": 0},
    {"context": "", "answer": "No evidence", "grounded": None},
]
EXPECTED = LabelledAnswers(
    tuple(row["context"] for row in ROWS), tuple(row["answer"] for row in ROWS), (True, False, None)
)


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def as_json_lines(rows) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n\n"


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.jsonl", "f.jsonl.gz", "f.ndjson", "f.parquet", "F.CSV"])
def test_every_format_reads_the_same(tmp_path: Path, name: str) -> None:
    path, frame = tmp_path / name, pl.DataFrame(ROWS)
    if name.endswith("parquet"):
        frame.write_parquet(path)
    else:
        write(path, as_json_lines(ROWS) if "json" in name or "nd" in name else frame.write_csv())
    read = read_labelled_answers(path)
    assert (read.answers, read.grounded) == (EXPECTED.answers, EXPECTED.grounded)
    assert read.contexts == EXPECTED.contexts


def test_tab_separated_text_has_no_quoting(tmp_path: Path) -> None:
    path = write(tmp_path / "f.tsv.gz", 'context\tanswer\tgrounded\nsaid "yes\tso "no" it\' is\ttrue\n')
    assert read_labelled_answers(path) == LabelledAnswers(('said "yes',), ('so "no" it\' is',), (True,))


@pytest.mark.parametrize(
    ("label", "grounded"),
    [
        *((True, True), (False, False), (1, True), (0, False), (1.0, True), ("Yes", True), ("no", False)),
        *((" TRUE ", True), ("grounded", True), ("Ungrounded", False), ("", None), (None, None)),
    ],
)
def test_labels(tmp_path: Path, label: object, grounded: bool | None) -> None:
    path = write(tmp_path / "f.jsonl", as_json_lines([{"context": "c", "answer": "a", "grounded": label}]))
    assert read_labelled_answers(path).grounded == (grounded,)


def test_named_labels_and_ignored_ones(tmp_path: Path) -> None:
    rows = [{"k": "c", "r": f"a{n}", "l": label} for n, label in enumerate(["Full", "Not", "Generic", None])]
    path = write(tmp_path / "f.jsonl", as_json_lines(rows))
    read = read_labelled_answers(path, "k", "r", "l", ["full"], ["generic"])
    assert (read.answers, read.grounded) == (("a0", "a1", "a3"), (True, False, None))
    assert read.labelled.answers == ("a0", "a1")


def test_several_passages_are_one_context(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", as_json_lines([{"context": ["one", "two"], "answer": "a", "grounded": 1}]))
    assert read_labelled_answers(path).contexts == ("one\n\ntwo",)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("f.txt", "x", r"f\.txt: unknown extension"),
        ("f.gz", "x", r"f\.gz: unknown extension"),
        ("f.csv", "context,answer\na,b\n", "no column 'grounded', only context, answer"),
        ("f.csv", "context,answer,grounded\na,b,maybe\n", "row 1, column 'grounded': label 'maybe'.*--grounded-label"),
        ("f.csv", "context,answer,grounded\na,b,1\nc, ,0\n", "row 2: column 'answer' is empty"),
        ("f.csv", "context,answer,grounded\n", "no rows"),
        ("f.csv", "", "is empty"),
        ("f.jsonl", '{"context": 1}\n{torn\n', "line 2 is not JSON"),
        ("f.jsonl", "[1]\n", "line 1 is not an object"),
        ("f.parquet", "no parquet", "cannot be read as parquet"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    with pytest.raises(LabelledFileError, match=complaint):
        read_labelled_answers(write(tmp_path / name, text))


def test_no_gzip_inside(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl.gz").write_bytes(b"plain")
    with pytest.raises(LabelledFileError, match="not a whole gzip file"):
        read_labelled_answers(tmp_path / "f.jsonl.gz")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(b'{"context": "\xff\xfe"}\n')
    with pytest.raises(LabelledFileError, match="UTF-8"):
        read_labelled_answers(tmp_path / "f.jsonl")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(LabelledFileError, match="is not a file"):
        read_labelled_answers(tmp_path / "f.csv")
