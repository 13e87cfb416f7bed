"""What is installed is pinned by hash, comes from no named place, and every direct dependency has its reason beside it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


def requirements(lock: str) -> dict[str, list[str]]:
    """Each requirement of a lock file with the lines that belong to it."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in lock.splitlines():
        text = line.strip().rstrip("\\").strip()
        if not text or text.startswith("#"):
            continue
        if line.startswith((" ", "\t")):
            found[current].append(text)
        else:
            current = text
            found[current] = []
    return found


def test_every_locked_requirement_is_pinned_and_hashed() -> None:
    locked = requirements(LOCK)
    assert len(locked) > 50
    for name, lines in locked.items():
        assert re.match(r"^[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^\s;*]+( ;.*)?$", name), name
        assert lines, f"{name} has no hash"
        assert all(HASH.match(line) for line in lines), name


def test_the_lock_names_no_place() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^-|--(index|extra-index|find-links|trusted-host)|@ ?(git|file)\b", LOCK, re.MULTILINE)


def direct() -> list[str]:
    project = tomllib.loads(PROJECT)["project"]
    return [*project["dependencies"], *(item for extra in project["optional-dependencies"].values() for item in extra)]


def normal(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("requirement", direct())
def test_every_direct_dependency_has_its_reason_beside_it(requirement: str) -> None:
    listed = PROJECT.partition("[project.scripts]")[0].splitlines()
    lines = [line.strip() for line in listed if line.strip().startswith(f'"{requirement}"')]
    assert lines, requirement
    assert all(re.search(r"#\s+\S.{9,}$", line) for line in lines), requirement


def test_every_direct_dependency_is_locked() -> None:
    locked = {normal(name) for name in requirements(LOCK)}
    assert {normal(requirement) for requirement in direct()} <= locked


def test_nothing_that_was_ruled_out_came_in_by_the_back_door() -> None:
    unwanted = {"torch", "litellm", "guardrails-ai", "semantic-router", "nemoguardrails", "gptcache", "llm-guard"}
    assert not unwanted & {normal(name) for name in requirements(LOCK)}
