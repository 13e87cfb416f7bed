"""Files of messages: formats, the text column, and errors that say what to do."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from controlplane.simulation.messages import MessagesError, read_messages

TEXTS = ["Where is my card?", "my card, lost", 'he said "no"', "Überweisung fehlt"]
DATA = Path(__file__).parents[3] / "shared" / "data"


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    frame.write_csv(path)


def write_csv_gz(path: Path, frame: pl.DataFrame) -> None:
    path.write_bytes(gzip.compress(frame.write_csv().encode()))


def write_json_array(path: Path, frame: pl.DataFrame) -> None:
    path.write_text(json.dumps(frame.to_dicts()), encoding="utf-8")


def write_jsonl_gz(path: Path, frame: pl.DataFrame) -> None:
    path.write_bytes(gzip.compress(frame.write_ndjson().encode()))


FORMATS: list[tuple[str, Callable[[Path, pl.DataFrame], object]]] = [
    ("m.csv", write_csv),
    ("m.CSV", write_csv),
    ("m.csv.gz", write_csv_gz),
    ("m.jsonl", lambda path, frame: frame.write_ndjson(path)),
    ("m.ndjson", lambda path, frame: frame.write_ndjson(path)),
    ("m.jsonl.gz", write_jsonl_gz),
    ("m.json", write_json_array),
    ("m.parquet", lambda path, frame: frame.write_parquet(path)),
    ("m.2026-01.parquet", lambda path, frame: frame.write_parquet(path)),
]


@pytest.mark.parametrize(("name", "write"), FORMATS, ids=[name for name, _ in FORMATS])
def test_every_format_is_read(tmp_path: Path, name: str, write: Callable[[Path, pl.DataFrame], object]) -> None:
    write(tmp_path / name, pl.DataFrame({"id": [1, 2, 3, 4], "text": TEXTS, "label": ["a"] * 4}))
    assert read_messages(tmp_path / name) == TEXTS
    assert read_messages(tmp_path / name, limit=2) == TEXTS[:2]


def test_tab_separated_text_keeps_its_quotes(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text('text\tlabel\nhe said "no\tx\n', encoding="utf-8")
    assert read_messages(path) == ['he said "no']


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (("label", "Utterance"), "Utterance"),
        (("query", "text"), "text"),
        (("issue", "consumer_complaint_narrative"), "consumer_complaint_narrative"),
        (("only",), "only"),
    ],
)
def test_the_text_column_is_found(tmp_path: Path, columns: tuple[str, ...], chosen: str) -> None:
    path = tmp_path / "m.parquet"
    pl.DataFrame({name: [name] for name in columns}).write_parquet(path)
    assert read_messages(path) == [chosen]


def test_a_named_column_wins(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a"], "other": ["b"]}).write_csv(tmp_path / "m.csv")
    assert read_messages(tmp_path / "m.csv", text_column="other") == ["b"]


def test_blanks_and_nulls_are_left_out(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a", None, "  ", "b"]}).write_parquet(tmp_path / "m.parquet")
    assert read_messages(tmp_path / "m.parquet") == ["a", "b"]


def test_an_undecided_column_is_an_error_that_lists_them(tmp_path: Path) -> None:
    pl.DataFrame({"alpha": ["a"], "beta": ["b"]}).write_csv(tmp_path / "m.csv")
    with pytest.raises(MessagesError, match=r"--text-column: alpha, beta"):
        read_messages(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("name", "content", "options", "complaint"),
    [
        ("m.csv", b"text\n", {}, "holds no text"),
        ("m.csv", b"", {}, "is empty"),
        ("m.jsonl", b"{torn", {}, "is not valid jsonl"),
        ("m.parquet", b"no parquet", {}, "is not valid parquet"),
        ("m.csv.gz", b"no gzip", {}, "cannot be read"),
        ("m.xlsx", b"x", {}, "unknown format"),
        ("m", b"x", {}, "unknown format"),
        ("m.csv", b"text\na\n", {"text_column": "nope"}, "no column 'nope'; columns are text"),
        ("m.jsonl", b'{"text": 5}\n', {"text_column": "text"}, "not text"),
        ("m.csv", b"text\na\n", {"limit": 0}, "at least 1"),
    ],
)
def test_unusable_files_are_errors_that_say_why(
    tmp_path: Path, name: str, content: bytes, options: dict[str, object], complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MessagesError, match=complaint):
        read_messages(tmp_path / name, **options)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(MessagesError, match="does not exist"):
        read_messages(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MessagesError, match="cannot be read"):
        read_messages(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("banking77/train.csv.gz", 10_003),
        ("multidogo/multidogo_turns.parquet", 77_000),
        ("cfpb_complaints/narratives_older.parquet", 500),
        ("bitext_cs_2022/train.csv.gz", 5_000),
        ("begin_wow/begin_dev_wow.tsv.gz", 400),
    ],
)
def test_real_files_are_read_without_being_told_the_column(name: str, rows: int) -> None:
    if not (DATA / name).is_file():
        pytest.skip(f"real data {name} is not beside this checkout")
    assert len(read_messages(DATA / name)) >= rows
