"""`controlplane drift run` on two files, as a person uses it."""

import json
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from jobs import drift_files, drift_table
from tests.jobs.command_line import Cli


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


@pytest.fixture
def files(tmp_path: Path) -> SimpleNamespace:
    reference, current = tmp_path / "re ference.csv", tmp_path / "current.parquet"
    pl.DataFrame({"x": [float(i % 50) for i in range(400)], "k": ["a", "b"] * 200, "gone": [1] * 400}).write_csv(
        reference
    )
    pl.DataFrame({"x": [float(i % 50 + 20) for i in range(400)], "k": ["a", "b"] * 200}).write_parquet(current)
    return SimpleNamespace(
        words=("drift", "run", "--reference", reference, "--current", current), out=tmp_path / "o ut"
    )


def test_the_answer_and_its_file(cli: Cli, files: SimpleNamespace) -> None:
    value = cli.json(*files.words, "--out", files.out, "--no-report")
    assert (value["drifted"], value["broken"], value["report"]) == (["x"], ["gone"], None)
    column = value["columns"]["x"]
    assert {"kind", "method", "score", "threshold", "p", "corrected_p", "drifted", "verdict", "reason"} <= set(column)
    assert (column["verdict"], column["drifted"], column["wasserstein"]) == ("FAIL", True, pytest.approx(20))
    assert json.loads((files.out / "summary.json").read_text()) == value
    assert [path.name for path in files.out.iterdir()] == ["summary.json"]


def test_thresholds_are_options_and_told(cli: Cli, files: SimpleNamespace) -> None:
    value = cli.json(*files.words, "--numeric", "5", "--alpha", "0.01")
    assert (value["drifted"], value["columns"]["x"]["threshold"], value["columns"]["k"]["threshold"]) == ([], 5, 0.1)
    assert (value["settings"]["numeric"], value["settings"]["alpha"]) == (5, 0.01)
    assert "--numeric: for files" in cli.refused("drift", "run", "--numeric", "5", code=2)


def test_the_table_puts_the_worst_first(cli: Cli, files: SimpleNamespace) -> None:
    text = cli(*files.words).out
    lines = text.splitlines()
    assert lines[0] == "3 columns of 400 and 400 rows: 1 drifted, 1 broken, 1 stable"
    assert [line.split()[:2] for line in lines[3:6]] == [["x", "drifted"], ["gone", "broken"], ["k", "stable"]]
    assert "mean 24.5 -> 44.5" in lines[3]


def test_names_from_files_cannot_move_the_cursor() -> None:
    frame = {"verdict": "NO_DATA", "drifted": False, "score": None, "threshold": 0, "corrected_p": None, "moved": []}
    frame |= {
        "reference_mean": None,
        "current_mean": None,
        "reason": "x\x1b[2J",
        "reference_rows": 1,
        "current_rows": 1,
    }
    text = drift_table.text({"columns": {"\x1b]0;evil\x07": frame}, "report": None, "report_error": "it ended"})
    assert "\x1b" not in text
    assert text.endswith("no report: it ended")


def test_a_report_that_fails_leaves_the_numbers(
    cli: Cli, files: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_files.sys, "executable", "/bin/false")
    value = cli.json(*files.words, "--out", files.out)
    assert value["drifted"] == ["x"]
    assert value["report"] is None
    assert "code 1" in value["report_error"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--weight", "nope"), 'no column "nope"'),
        (("--reference", "nowhere.csv"), "nowhere.csv does not exist"),
        (("--reference", "."), "is a folder"),
        (("--out", __file__), "is a file; name a folder"),
        (("--alpha", "1"), "--alpha 1: it has to be above 0 and below 1"),
        (("--numeric", "nan"), "--numeric nan: it has to be above 0"),
    ],
)
def test_what_cannot_be_done_is_bad_input(
    cli: Cli, files: SimpleNamespace, change: tuple[str, ...], words: str
) -> None:
    assert words in cli.refused(*files.words, *change, code=2)


@pytest.mark.slow
def test_the_report_is_drawn_beside_the_numbers(cli: Cli, files: SimpleNamespace) -> None:
    value = cli.json(*files.words, "--out", files.out)
    assert value["report"] == str(files.out / "report.html")
    assert value["evidently"]["columns"]["x"]["score"] == pytest.approx(value["columns"]["x"]["score"], rel=1e-9)
    assert "gone: the current rows no longer have this column" in (files.out / "report.html").read_text()
    assert sorted(path.name for path in files.out.iterdir()) == ["report.html", "summary.json"]
