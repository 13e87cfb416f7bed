"""Files that people bring: the same rows in any format give the same verdicts, and a file that can't be used is one sentence."""

import gzip
import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from controlplane.analysis import drift_report
from controlplane.analysis.drift import compare_tables
from controlplane.analysis.drift_inputs import InputError, as_table
from controlplane.analysis.drift_report import sample, write_report

CONNECTION = duckdb.connect()


def frame(shift: float) -> pl.DataFrame:
    rng = np.random.default_rng(int(shift * 10))
    return pl.DataFrame(
        {
            'la "tency", ms': rng.lognormal(5 + shift, 0.4, 300).round(3),
            "größe.x": rng.choice(["a", "b", "line\nbreak", 'quote"d'], 300),
            "turn": rng.integers(1, 9, 300),
            "gap": [None if i % 3 == 0 else i % 7 for i in range(300)],
        }
    )


def written(data: pl.DataFrame, path: Path) -> Path:
    plain = path.name.removesuffix(".gz")
    target = path.with_name(plain)
    if plain.endswith(".parquet"):
        data.write_parquet(target)
    elif plain.endswith(".jsonl"):
        data.write_ndjson(target)
    else:
        data.write_csv(target, separator={"tsv": "\t", "csv": ","}[plain.rsplit(".", 1)[1]])
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(target.read_bytes()))
    return path


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "parquet.gz"])
def test_every_format_gives_the_same_verdicts(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    found = []
    for kind in ("parquet", ending):
        tables = [
            as_table(
                CONNECTION, written(frame(shift), folder / f"{name}.{kind}"), folder / f"{name}-{len(found)}.parquet"
            )
            for name, shift in (("reference", 0.0), ("current", 0.6))
        ]
        found.append(compare_tables(CONNECTION, *tables))
    assert found[0].drifted == found[1].drifted == ('la "tency", ms',)
    for expected, column in zip(found[0].columns, found[1].columns, strict=True):
        assert (column.column, column.kind, column.verdict) == (expected.column, expected.kind, expected.verdict)
        assert column.score == pytest.approx(expected.score, rel=1e-12)
        assert column.current_missing == expected.current_missing


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "0 bytes"),
        ("blank.csv", b"\n\n", "the first line is empty"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "Line: 3"),
        ("latin.csv", b"a,b\n1,\xff\xfe\n", "utf-8"),
        ("cut.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999, mtime=0)[:-12], "csv"),
        ("plain.csv.gz", b"a,b\n1,2\n", "gzip"),
        ("text.parquet", b"a,b\n1,2\n" * 9, "parquet"),
        ("text.parquet.gz", b"a,b\n1,2\n" * 9, "gzip"),
        ("broken.jsonl", b'{"a": 1}\n{"a"\n', "line"),
        ("sheet.xlsx", b"PK", ".csv, .tsv, .parquet"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        as_table(CONNECTION, path, tmp_path / "out.parquet")
    assert name in str(caught.value)
    assert words in str(caught.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="name one file in it"):
        as_table(CONNECTION, tmp_path, tmp_path / "out.parquet")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        as_table(CONNECTION, tmp_path / "nowhere.csv", tmp_path / "out.parquet")


def test_header_names_that_repeat_or_are_missing_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\ufeffa;A;;b.c\n" + '1;x;"3;3";4\n' * 3, encoding="utf-8")
    table = as_table(CONNECTION, path, tmp_path / "out.parquet")
    rows = pl.read_parquet(table.path)
    assert rows.columns == ["a", "A_1", "column2", "b.c"]
    assert rows.row(0) == ("1", "x", "3;3", "4")
    assert table.untyped


def test_the_report_draws_the_kinds_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"n": ["1", "x", "inf", None], "k": [1, 2, 3, 4], "id": ["a", "b", "c", "<"]}).write_parquet(path)
    told = sample(path, {"n": "numeric", "k": "categorical", "id": "an identifier"})
    assert told.columns == ["n", "k"]
    assert sorted(told.rows(), key=lambda row: row[1]) == [(1.0, "1"), (None, "2"), (None, "3"), (None, "4")]


def test_the_report_writes_truth_values_one_way() -> None:
    sides = (
        pl.DataFrame({"flag": ["0", "1", None], "k": ["0", "2", "1"]}),
        pl.DataFrame({"flag": ["True", "false", "true"]}),
    )
    before, now = drift_report._one_spelling(*sides)
    assert before["flag"].to_list() == ["false", "true", None]
    assert now["flag"].to_list() == ["true", "false", "true"]
    assert before["k"].to_list() == ["0", "2", "1"]


def test_a_column_that_evidently_fails_on_is_left_out_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(reference: pl.DataFrame, _current: pl.DataFrame, _settings: object) -> tuple[str, dict]:
        if "bad" in reference.columns:
            raise ValueError("no such thing")
        return "<html><head></head><body></body></html>", {name: {"score": 0.0} for name in reference.columns}

    monkeypatch.setattr(drift_report, "_evidently", draws)
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"good": [1.0, 2.0], "bad": [1.0, 2.0], "id": ["a", "b"]}).write_parquet(path)
    write_report(path, path, tmp_path, {"good": "numeric", "bad": "numeric", "id": "an <identifier>"})
    scores = json.loads((tmp_path / "scores.json").read_text())
    page = (tmp_path / "report.html").read_text()
    assert list(scores["columns"]) == ["good"]
    assert scores["left_out"] == {"bad": "Evidently failed on it: ValueError: no such thing", "id": "an <identifier>"}
    assert "2 columns are not drawn" in page
    assert "an &lt;identifier&gt;" in page
    assert page.index("default-src 'none'") < page.index("not drawn")
