"""Labelled files: every format gives the same rows, and everything wrong is named with file, place and remedy."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.evaluation.labelled_files import LabelledFileError, LabelledRow, read_labelled

ROWS = [("I lost my card", "lost"), ('he said "no", twice', "refund"), ('"über" 漢字', "fees, and more")]
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)


def as_csv(rows: list[tuple[str, str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *rows])
    return out.getvalue().encode()


def as_tsv(rows: list[tuple[str, str]]) -> bytes:
    return "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]).encode()


def as_lines(rows: list[tuple[str, str]]) -> bytes:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    stem = path.name.removesuffix(".gz")
    if stem.endswith(".parquet"):
        pl.DataFrame(rows, schema=["text", "label"], orient="row").write_parquet(path)
        return path
    content = {"jsonl": as_lines, "csv": as_csv, "tsv": as_tsv}[stem.rpartition(".")[2]](rows)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz", "a.jsonl", "a.jsonl.gz", "A.CSV", "a.parquet"]
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    file = read_labelled(write(tmp_path / name, ROWS) if name != "A.CSV" else write_upper(tmp_path))
    assert [(row.text, row.label) for row in file.rows] == ROWS
    assert file.sha256 == read_labelled(write(tmp_path / "same.jsonl", ROWS)).sha256
    assert file.left_out() == ""
    assert file.labels == ("fees, and more", "lost", "refund")


def write_upper(folder: Path) -> Path:
    (folder / "A.CSV").write_bytes(as_csv(ROWS))
    return folder / "A.CSV"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_whatever_is_written_is_read(rows: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = read_labelled(write(Path(folder) / "a.csv", rows))
    assert [(row.text, row.label) for row in file.rows] == [(text.strip(), label.strip()) for text, label in rows]


def test_a_quoted_field_may_have_lines(tmp_path: Path) -> None:
    rows = [('he said "no", twice\nand left', "refund"), ("b", "x")]
    assert [(row.text, row.label) for row in read_labelled(write(tmp_path / "a.csv", rows)).rows] == rows


def test_columns_are_found_by_name_or_given(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,Utterance,Intent,text_old\n1,hello,greet,x\n")
    assert read_labelled(path).rows == (LabelledRow("hello", "greet", 1),)
    assert read_labelled(path, "text_old", "id").rows == (LabelledRow("x", "1", 1),)


def test_numbers_are_labels_too(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a", "b"], "label": [3, 4]}).write_parquet(path)
    assert [row.label for row in read_labelled(path).rows] == ["3", "4"]


def test_empty_rows_are_counted_and_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [("a", "x"), ("", "x"), ("b", ""), ("  ", "y"), ("c", "z")])
    file = read_labelled(path)
    assert [row.row for row in file.rows] == [1, 5]
    assert (file.empty_text, file.empty_label) == ((2, 4), (3,))
    assert file.left_out() == f"{path}: not used: 2 without text (rows 2, 4); 1 without label (rows 3)"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"foo,bar\n1,2\n", "no column called text, .*choose one of foo, bar with --text-column"),
        ("a.csv", b"text,bar\n1,2\n", "no column called label, .*with --label-column"),
        ("a.csv", b"text,label\n,\n", "no row with both text and label"),
        ("a.csv", b"text,label\n\xff\xfe,x\n", "not UTF-8 at byte 11: convert it"),
        ("a.csv", b"text,label\na,b\na,b,c,d\n", "line 3 has 4 fields, the header 2: put quotes"),
        ("a.csv", b'text,label\n"a,b\n', "line 2 cannot be read .*check its quotes"),
        ("a.csv", b"text,text\na,b\n", "two columns of one name"),
        ("a.csv.gz", b"text,label\na,b\n", "not a whole gzip file"),
        ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": \n', "line 2 is not JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1 is not an object"),
        ("a.jsonl", b"", "is empty"),
        ("a.parquet", b"PAR1 no", "cannot be read as parquet"),
        ("a.xlsx", b"x", r"unknown extension \.xlsx, expected \.csv"),
        ("a", b"x", r"unknown extension \(none\)"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(LabelledFileError, match=message) as error:
        read_labelled(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_a_wrong_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(LabelledFileError, match=r"none\.csv is not a file"):
        read_labelled(tmp_path / "none.csv")
    path = write(tmp_path / "a.csv", ROWS)
    with pytest.raises(LabelledFileError, match=r"no column 'topic' \(--label-column\): it has text, label"):
        read_labelled(path, label_column="topic")


def test_a_column_of_lists_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a"], "label": [{"x": 1}]}).write_parquet(path)
    with pytest.raises(LabelledFileError, match=r"column 'label' holds Struct"):
        read_labelled(path)
