"""`assistant train|models|recalibrate` and `eval intents`, from words on the command line to JSON and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from controlplane.assistant import embedding
from jobs.cli import app
from tests.assistant.wordings import OOS, examples

KEYS = [
    "accuracy", "ece_raw", "ece", "oos_auroc", "oos_rejected_at_95", "sensitive_recall", "over_routing", "coverage_at_98",
    "accuracy_above_threshold", "p50_ms", "p95_ms",
]  # fmt: skip


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def good(*words: object) -> dict[str, Any]:
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout.strip().splitlines()[-1]))


def write(path: Path, count: int, seed: int, oos: int = 0, noise: float = 0.15, shift: int = 0) -> Path:
    labels = ["address", "card_lost", "refund"]
    with path.open("w", encoding="utf-8") as file:
        for row in examples(count, seed, oos, noise):
            label = row.label if row.label == OOS else labels[(labels.index(row.label) + shift) % 3]
            file.write(json.dumps({"message": row.text, "topic": label}) + "\n")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write(folder / "train.jsonl", 400, 1, 40)
    write(folder / "test.jsonl", 120, 2, 30)
    write(folder / "newer.jsonl", 300, 3, 20)
    write(folder / "wrong.jsonl", 300, 4, shift=1)
    return folder


@pytest.fixture(scope="module")
def registry(data: Path) -> Path:
    out = data / "models"
    good(
        "assistant",
        "train",
        "--data",
        data / "train.jsonl",
        "--out",
        out,
        "--label-column",
        "topic",
        "--oos-label",
        OOS,
    )
    return out


def test_eval_intents_prints_the_promised_keys(data: Path) -> None:
    words = (
        *("eval", "intents", "--train", data / "train.jsonl", "--test", data / "test.jsonl", "--label-column", "topic"),
        *("--oos-label", OOS, "--sensitive", "card_lost, refund"),
    )
    value = good(*words)
    assert list(value)[: len(KEYS)] == KEYS
    assert all(value[key] is not None for key in KEYS)
    assert value["accuracy"] > 0.8
    assert value["oos_auroc"] > 0.9
    assert (value["n"], value["n_oos"], value["n_sensitive"], value["n_train"]) == (120, 30, 80, 440)
    again = good(*words)
    timed = ("p50_ms", "p95_ms")
    assert {k: v for k, v in again.items() if k not in timed} == {k: v for k, v in value.items() if k not in timed}


def test_what_does_not_apply_is_null(data: Path, tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.jsonl", 90, 1), write(tmp_path / "b.jsonl", 30, 2)
    value = good("eval", "intents", "--train", train, "--test", test, "--label-column", "topic")
    for key in ("oos_auroc", "oos_rejected_at_95", "sensitive_recall", "over_routing"):
        assert value[key] is None


def test_out_of_scope_rows_may_be_in_the_test_file_only(data: Path, tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", 150, 1)
    words = ("eval", "intents", "--train", train, "--test", data / "test.jsonl", "--label-column", "topic")
    assert good(*words, "--oos-label", OOS)["oos_auroc"] > 0.8
    result = call(*words)
    assert result.exit_code == 2
    assert "test labels that training lacks: oos" in result.stderr


def test_the_embeddings_tier(data: Path) -> None:
    if not embedding.available():
        pytest.skip("the extra `embeddings` is not installed")
    value = good(
        *("eval", "intents", "--train", data / "train.jsonl", "--test", data / "test.jsonl", "--label-column", "topic"),
        *("--tier", "embeddings", "--oos-label", OOS),
    )
    assert value["tier"] == "embeddings"
    assert value["accuracy"] > 0.8


def test_a_missing_extra_is_said_with_its_remedy(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise embedding.EmbeddingsMissing(f"embeddings need the package onnxruntime: {embedding.REMEDY}")

    monkeypatch.setattr("controlplane.assistant.intent.open_encoder", absent)
    words = ("--train", data / "train.jsonl", "--test", data / "test.jsonl", "--label-column", "topic")
    result = call("eval", "intents", *words, "--tier", "embeddings")
    assert result.exit_code == 3
    assert "install the extra `embeddings`" in result.stderr


def test_a_model_is_listed_with_its_versions(registry: Path) -> None:
    (row,) = good("assistant", "models", "--dir", registry)["models"]
    assert row["tier"] == "default"
    assert row["training_data"]["rows"] == 440
    assert len(row["digest"]) == len(row["training_data"]["sha256"]) == 64
    assert row["metrics"]["accuracy"] > 0.8
    assert set(row["parts"]) == {"weights", "calibration"}
    text = call("assistant", "models", "--dir", registry)
    assert row["digest"][:12] in text.stdout


def test_training_twice_gives_one_artefact(data: Path, registry: Path, tmp_path: Path) -> None:
    words = ("assistant", "train", "--data", data / "train.jsonl", "--label-column", "topic", "--oos-label", OOS)
    again = good(*words, "--out", tmp_path)
    assert again["digest"] == good("assistant", "models", "--dir", registry)["models"][0]["digest"]
    assert good(*words, "--out", tmp_path, "--seed", "2")["digest"] != again["digest"]


def test_recalibration_makes_a_new_artefact_or_is_refused(data: Path, registry: Path, tmp_path: Path) -> None:
    words = ("assistant", "recalibrate", "--model", registry, "--label-column", "topic", "--out", tmp_path)
    made = good(*words, "--data", data / "newer.jsonl")
    old = good("assistant", "models", "--dir", registry)["models"][0]
    assert made["parent"] == old["digest"] != made["digest"]
    assert made["parts"]["weights"] == old["parts"]["weights"]
    assert made["log_loss_after"] < made["log_loss_before"]
    refused = call(*words, "--data", data / "wrong.jsonl")
    assert refused.exit_code == 1
    assert "recalibration refused" in refused.stderr
    assert len(good("assistant", "models", "--dir", tmp_path)["models"]) == 1


def test_a_tampered_model_is_refused(data: Path, tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", 60, 1)
    made = good("assistant", "train", "--data", train, "--label-column", "topic", "--out", tmp_path / "m")
    path = Path(made["model"]) / "model.npz"
    path.write_bytes(path.read_bytes() + b"x")
    words = ("assistant", "recalibrate", "--model", made["model"], "--data", data / "newer.jsonl")
    result = call(*words, "--label-column", "topic", "--out", tmp_path)
    assert result.exit_code == 3
    assert "has sha256" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "absent.csv"), "absent.csv is not a file"),
        (("--data", "{data}/train.jsonl"), "choose one of message, topic with --label-column"),
        (("--data", "{data}/train.jsonl", "--label-column", "topic", "--tier", "large"), "--tier large: there are"),
        (("--data", "{data}/few.jsonl", "--label-column", "topic"), "has 6 usable rows, training needs 10"),
    ],
)
def test_bad_input_is_said(data: Path, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    write(data / "few.jsonl", 6, 1)
    result = call("assistant", "train", "--out", tmp_path, *(word.format(data=data) for word in words))
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--oos-label", OOS, "--sensitive", "fraud"),
            "--sensitive fraud: no such label; there are address, card_lost",
        ),
        (("--sensitive", "refund"), "test labels that training lacks: "),
    ],
)
def test_wrong_labels_are_said_before_the_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr("jobs.assistant_train.fit_file", lambda *_: pytest.fail("trained all the same"))
    train = write(tmp_path / "train.jsonl", 60, 1)
    words = ("eval", "intents", "--train", train, "--test", data / "test.jsonl", "--label-column", "topic")
    result = call(*words, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_registry_that_is_a_file_is_said_before_the_training(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.assistant_train.fit_file", lambda *_: pytest.fail("trained all the same"))
    out = data / "test.jsonl"
    words = ("--data", data / "train.jsonl", "--label-column", "topic")
    for place in (out, out / "below"):
        result = call("assistant", "train", *words, "--out", place)
        assert result.exit_code == 2
        assert f"{out} is a file, give a folder" in result.stderr.replace("\n", " ")


def test_rows_left_out_are_counted(data: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 60, 1)
    path.write_text(path.read_text(encoding="utf-8") + '{"message": "", "topic": "refund"}\n', encoding="utf-8")
    result = call("assistant", "train", "--data", path, "--label-column", "topic", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "1 without text (rows 61)" in result.stderr.replace("\n", " ")
