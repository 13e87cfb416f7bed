"""Every alert that names a runbook has one."""

from pathlib import Path

from alerts.wording_runbook import FIRST


def test_every_alertname_has_its_section() -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/on-call.md").read_text(encoding="utf-8")
    assert FIRST
    assert [name for name in FIRST if f"\n### {name}\n" not in text] == []
