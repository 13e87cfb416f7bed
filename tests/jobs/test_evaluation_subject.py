"""A release file says what is evaluated; every mistake in it is named with its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from controlplane.assistant.release import ReleaseConfig
from jobs.cli import app
from jobs.evaluation_subject import OwnArtefacts, SpecError, embedded, read_release

GOOD = """version = "2.1"
seed = 3
slow_factor = 2

[policy]
answer_confidence = 0.5

[model]
name = "tiny"
url = "http://127.0.0.1:9/v1"
timeout_seconds = 4
"""


def test_without_a_file_it_is_the_shipped_release() -> None:
    assert read_release(None) == (ReleaseConfig(), None, OwnArtefacts())


def test_a_file_is_read_with_its_policy_and_its_model(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(GOOD)
    config, remote, own = read_release(tmp_path / "r.toml", "sk-1")
    assert (config.version, config.seed, config.slow_factor, config.policy.answer_confidence) == ("2.1", 3, 2.0, 0.5)
    assert own == OwnArtefacts()
    assert remote is not None
    assert (remote.name, remote.timeout_seconds, remote.api_key, remote.prices) == ("tiny", 4, "sk-1", None)
    assert "sk-1" not in repr(remote)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 3", "sede = 3", "r.toml:2: sede: unknown key"),
        ("seed = 3", 'seed = "3"', "r.toml:2: seed: '3' cannot be used: write a int"),
        ("seed = 3", 'knowledge = "old"', "r.toml:2: knowledge: 'old' is not known: one of good, corrupt"),
        ("answer_confidence", "confidence", "r.toml:6: policy.confidence: unknown key"),
        ("[policy]\nanswer_confidence = 0.5", "policy = 3", "policy: is not a table"),
        ('name = "tiny"', "", "r.toml:8: model: is no table with a name"),
        ("timeout_seconds = 4", "timeout_seconds = true", "model.timeout_seconds: True cannot be used"),
        ("timeout_seconds = 4", 'api_key = "sk-1"', "model.api_key: unknown key"),
        ("seed = 3", "seed = ", "r.toml"),
    ],
)
def test_every_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "r.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(SpecError) as caught:
        read_release(tmp_path / "r.toml")
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone.toml: cannot be read"):
        read_release(tmp_path / "gone.toml")


OWN = """version = "3"

[artefacts]
classifier = "classifiers"
knowledge = "pages"
prompt = "prompt.md"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A release file beside a trained classifier, a folder of pages and a prompt."""
    rows = [
        f"{text} {n},{label}"
        for n in range(8)
        for text, label in (("close my account", "close"), ("lost card", "card"))
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    trained = CliRunner().invoke(
        app, ["assistant", "train", "--data", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "classifiers")]
    )
    assert trained.exit_code == 0, trained.output
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "fees.md").write_text("# Fees\n\nThe everyday account costs 3 pounds a month.\n")
    (tmp_path / "prompt.md").write_text("Answer from the passages.")
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path / "own.toml"


def test_artefacts_of_ones_own_are_what_is_evaluated(own: Path, tmp_path: Path) -> None:
    config, _, mine = read_release(own)
    shipped = embedded(config, tmp_path / "models", 1).artefacts
    whole = embedded(config, tmp_path / "models", 1, own=mine).artefacts
    assert {name for name in whole if whole[name] != shipped[name]} == {"classifier", "knowledge", "prompt"}
    only = embedded(config, tmp_path / "models", 1, own=replace(mine, classifier=None, prompt=None)).artefacts
    assert {name for name in whole if only[name] != shipped[name]} == {"knowledge"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"pages"', '"page"', "own.toml:5: artefacts.knowledge: 'page' is not there"),
        ('"pages"', "5", "artefacts.knowledge: 5 is not there"),
        ("prompt =", "promt =", "own.toml:6: artefacts.promt: unknown key"),
        ("[artefacts]", "artefacts = 3\n[policy]", "artefacts: is not a table"),
    ],
)
def test_a_mistake_in_the_artefacts_is_named_with_its_line(own: Path, old: str, new: str, words: str) -> None:
    own.write_text(OWN.replace(old, new))
    with pytest.raises(SpecError) as caught:
        read_release(own)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: next((folder / "classifiers").glob("*/*.npz")).write_bytes(b"x"), "sha256"),
        (lambda folder: (folder / "pages" / "fees.md").unlink(), "no Markdown file"),
        (lambda folder: (folder / "prompt.md").write_bytes(b"\xff\xfe\xff"), "prompt.md cannot be read"),
    ],
    ids=["a changed classifier", "an empty folder", "a prompt that is no text"],
)
def test_artefacts_that_cannot_be_read_are_named(own: Path, spoil: Callable[[Path], object], words: str) -> None:
    mine = read_release(own).own
    spoil(own.parent)
    with pytest.raises(SpecError, match=words):
        mine.read()
