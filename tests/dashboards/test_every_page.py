"""What holds for every page: it opens on every kind of workspace without an error and carries the live strip."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.dashboards.pages import APP, open_page, text

FILES = sorted(path.stem.removesuffix("_page") for path in (APP.parent / "app_pages").glob("*_page.py"))


def test_the_navigation_has_every_page_and_no_other() -> None:
    named = re.findall(r'"app_pages/(\w+)_page\.py", "(\w+)", "(\w+)"', APP.read_text())
    assert sorted(name for name, _, _ in named) == FILES
    assert all(name == path and title == name.capitalize() for name, title, path in named)
    assert len(FILES) == 10


@pytest.mark.parametrize("kind", ["empty", "healthy", "incident", "full"])
@pytest.mark.parametrize("page", FILES)
def test_every_page_opens_on_every_kind_of_workspace(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, page: str, kind: str
) -> None:
    home: Path = request.getfixturevalue(f"{kind}_home")
    shown = text(open_page(monkeypatch, home, page))
    for words in ("cp-strip", "Firing", "Data age", "UTC"):
        assert words in shown
