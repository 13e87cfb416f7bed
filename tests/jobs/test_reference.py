"""The reference pages are what the code says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.reference import pages

DOCS = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["commands.md", "policy.md", "metrics.md", "states.md", "records.md", "workflows.md"])
def test_a_reference_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run `make docs`"


def test_every_command_has_a_sentence_of_help() -> None:
    commands = pages()["commands.md"]
    sections = [section for section in commands.split("\n## ") if section.startswith("controlplane")]
    assert len(sections) > 20
    assert all(len(section.splitlines()) > 6 for section in sections)
