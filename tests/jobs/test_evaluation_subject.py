"""A release file says what is evaluated; every mistake in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.assistant.release import ReleaseConfig
from jobs.evaluation_subject import SpecError, read_release

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
    assert read_release(None) == (ReleaseConfig(), None)


def test_a_file_is_read_with_its_policy_and_its_model(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(GOOD)
    config, remote = read_release(tmp_path / "r.toml", "sk-1")
    assert (config.version, config.seed, config.slow_factor, config.policy.answer_confidence) == ("2.1", 3, 2.0, 0.5)
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
