"""`controlplane eval groundedness` and `calibrate-groundedness` as a person uses them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest

from controlplane.assistant.groundedness import calibration
from controlplane.evaluation.groundedness import judge_answers
from controlplane.evaluation.labelled_answers import LabelledAnswers
from tests.evaluation.labelled import labelled_answers
from tests.jobs.command_line import Cli

KEYS = {
    *("auroc", "auroc_interval", "n", "prevalence", "ece", "brier", "threshold", "sensitivity", "specificity"),
    *("hallucination_rate_reported", "hallucination_rate_corrected", "interval", "fitted_on_these_rows", "detector"),
}


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "home")


def write(path: Path, data: LabelledAnswers, names: tuple[str, str, str] = ("context", "answer", "grounded")) -> Path:
    frame = pl.DataFrame(dict(zip(names, (data.contexts, data.answers, data.grounded), strict=True)))
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


def test_figures_for_machines(cli: Cli, tmp_path: Path) -> None:
    found = cli.json("eval", "groundedness", "--data", write(tmp_path / "a.csv", labelled_answers(200)))
    assert found.keys() >= KEYS
    assert found["n"] == 200
    assert found["auroc"] > 0.85
    assert found["fitted_on_these_rows"] is False


def test_figures_for_people(cli: Cli, tmp_path: Path) -> None:
    said = cli("eval", "groundedness", "--data", write(tmp_path / "a.parquet", labelled_answers(200))).out
    for part in (
        "200 answers on",
        "AUROC 0.",
        "sensitivity",
        "hallucination rate reported",
        "corrected",
        "people said",
    ):
        assert part in said
    assert "IN-SAMPLE" not in said


def test_columns_and_labels_have_names_of_their_own(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", labelled_answers(100), ("page", "reply", "verdict"))
    text = path.read_text().replace(",true\n", ",Fully\n").replace(",false\n", ",Not\n")
    path.write_text(text + "page,reply that nobody can place,Generic\n")
    words = ("--context-column", "page", "--answer-column", "reply", "--grounded-column", "verdict")
    labels = ("--grounded-label", "fully")
    assert cli.json("eval", "groundedness", "--data", path, *words, *labels)["n"] == 101
    assert cli.json("eval", "groundedness", "--data", path, *words, *labels, "--ignore-label", "generic")["n"] == 100


def test_a_calibration_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    data, out = write(tmp_path / "audit.csv", labelled_answers(200)), tmp_path / "own.json"
    words = ("--data", data, "--out", out, "--source", "audit of May", "--licence", "ours")
    made = cli.json("eval", "calibrate-groundedness", *words)
    assert made == json.loads(out.read_text())
    assert (made["source"]["name"], made["source"]["licence"], made["source"]["rows"]) == ("audit of May", "ours", 200)
    assert made["sha256"] != calibration().sha256
    in_sample = cli("eval", "groundedness", "--data", data, "--calibration", out).out
    assert in_sample.startswith("IN-SAMPLE")
    renamed = write(tmp_path / "renamed.parquet", labelled_answers(200))
    assert cli.json("eval", "groundedness", "--data", renamed, "--calibration", out)["fitted_on_these_rows"] is True
    other = write(tmp_path / "other.csv", labelled_answers(200, seed=9))
    found = cli.json("eval", "groundedness", "--data", other, "--calibration", out)
    assert found["calibration_sha256"] == made["sha256"]
    assert found["fitted_on_these_rows"] is False
    assert "exists" in cli.refused("eval", "calibrate-groundedness", *words, code=2)


def test_a_calibration_changed_by_hand_is_refused(cli: Cli, tmp_path: Path) -> None:
    data, out = write(tmp_path / "audit.csv", labelled_answers(200)), tmp_path / "own.json"
    cli("eval", "calibrate-groundedness", "--data", data, "--out", out, "--source", "s")
    out.write_text(out.read_text().replace('"threshold": 0.5', '"threshold": 0.1'))
    message = cli.refused("eval", "groundedness", "--data", data, "--calibration", out, code=2)
    assert "changed after it was made" in message


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.csv", "context,answer\na,b\n", "has no column 'grounded'"),
        ("a.csv", "context,answer,grounded\na,b,perhaps\n", "row 1, column 'grounded': label 'perhaps'"),
        ("a.doc", "", "unknown extension"),
    ],
)
def test_bad_input_is_a_message(cli: Cli, tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (tmp_path / name).write_text(text)
    assert complaint in cli.refused("eval", "groundedness", "--data", tmp_path / name, code=2)


def test_a_missing_file_is_a_message(cli: Cli, tmp_path: Path) -> None:
    assert "is not a file" in cli.refused("eval", "groundedness", "--data", tmp_path / "nil.csv", code=2)


def test_too_little_to_calibrate_is_a_message(cli: Cli, tmp_path: Path) -> None:
    data = write(tmp_path / "few.csv", labelled_answers(20))
    words = ("--data", data, "--out", tmp_path / "own.json", "--source", "s")
    assert "few.csv: a calibration needs 60" in cli.refused("eval", "calibrate-groundedness", *words, code=2)
    assert not (tmp_path / "own.json").exists()


def test_a_calibration_worse_than_the_shipped_one_is_refused(cli: Cli, tmp_path: Path) -> None:
    """Labels drawn from the shipped calibration's own probabilities: a fit on a few of them cannot know more."""
    made, rng = labelled_answers(80), random.Random(8)
    chances = [verdict.probability for verdict in judge_answers(made, calibration())]
    drawn = LabelledAnswers(made.contexts, made.answers, tuple(rng.random() < chance for chance in chances))
    words = ("--data", write(tmp_path / "a.csv", drawn), "--out", tmp_path / "own.json", "--source", "s")
    assert "no better (log loss" in cli.refused("eval", "calibrate-groundedness", *words, code=1)
    assert not (tmp_path / "own.json").exists()
