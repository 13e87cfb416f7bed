"""The reference pages are what the code says now."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from controlplane.core.evidence.forms import FORMS
from controlplane.core.metrics import METRICS
from controlplane.core.policy import Policy, parse
from controlplane.core.policy_lint import RESERVED
from controlplane.core.roles import PERMISSIONS, Permission, Role
from controlplane.settings import shipped_policy
from jobs import reference_policy, reference_triggers
from jobs.asking import ASKS
from jobs.reference import pages

NAMES = ("commands.md", "policy.md", "triggers.md", "metrics.md", "states.md", "records.md", "workflows.md", "roles.md")
DOCS = Path(__file__).parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def now() -> dict[str, str]:
    """The pages as the code would write them; made once, since the help of every command takes its time."""
    return pages()


@pytest.mark.parametrize("name", NAMES)
def test_a_reference_page_is_up_to_date(now: dict[str, str], name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == now[name], "run `make docs`"


def test_every_command_has_a_sentence_of_help(now: dict[str, str]) -> None:
    commands = now["commands.md"]
    sections = [section for section in commands.split("\n## ") if section.startswith("controlplane")]
    assert len(sections) > 20
    assert all(len(section.splitlines()) > 6 for section in sections)


def test_no_page_is_left_over(now: dict[str, str]) -> None:
    assert {path.name for path in DOCS.glob("*.md")} == set(now) == set(NAMES)


def test_every_key_of_a_policy_is_described_and_nothing_else() -> None:
    keys = {f"{name}.{item.name}" for name, kind in reference_policy.SECTIONS.items() for item in fields(kind)}
    assert keys == set(reference_policy.KEYS)
    assert {item.name for item in fields(Policy)} - {"text", "hash"} | {"schema"} == {
        *reference_policy.HEADS,
        *reference_policy.SECTIONS,
    }


def test_the_catalogue_has_every_metric_that_decides_every_test_and_every_check() -> None:
    page = reference_triggers.page()
    assert all(f"| `{item.name}`: " in page for item in METRICS.values() if item.decides)
    assert not any(f"| `{item.name}`: " in page for item in METRICS.values() if not item.decides)
    assert set(reference_triggers.FORM_WORDS) == set(FORMS)
    assert set(reference_triggers.CHECKS) == set(RESERVED)
    for trigger in parse(shipped_policy("default")).triggers:
        assert f"`{trigger.name}`: {trigger.kind} limit " in page


def test_every_question_of_the_dashboards_and_every_role_stands_in_the_table(now: dict[str, str]) -> None:
    page = now["roles.md"]
    assert all(f"| `{name}` |" in page for name in ASKS)
    for permission in Permission:
        row = next(line for line in page.splitlines() if line.startswith(f"| {permission} |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        said = {role for role, cell in zip(Role, cells, strict=True) if cell == "yes"}
        assert said == {role for role in Role if permission in PERMISSIONS[role]}
