"""What holds for every page: it opens on every kind of workspace without an error and carries the live strip."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from controlplane.core.metrics import METRICS
from dashboards import ui
from tests.dashboards.pages import APP, checked_exports, open_page, text

shown_on_full: dict[str, str] = {}  # what a person reads on each page of the demo's workspace
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
    monkeypatch.setattr(ui.Drawn, "CHECKED", True)  # every chart against the schema of Vega-Lite
    home: Path = request.getfixturevalue(f"{kind}_home")
    checked_exports(monkeypatch, home)  # data and SQL say the same
    shown = text(open_page(monkeypatch, home, page))
    for words in ("cp-strip", "Firing", "Data age", "UTC"):
        assert words in shown
    if kind == "full":
        shown_on_full[page] = shown


@pytest.mark.parametrize(
    ("page", "query", "names"),
    [
        ("governance", {"show": "evaluation"}, {"evaluation"}),
        ("governance", {"show": "releases"}, {"releases"}),
        ("quality", {"view": "understanding"}, {"quality_intents"}),
        ("quality", {"view": "sources"}, {"quality_grounded"}),
        ("experiments", {"release": "v1.0", "segment": "new", "metric": "csat"}, {"effect_over_time", "segments"}),
    ],
)
def test_what_a_chosen_view_offers_is_what_its_sql_gives(
    monkeypatch: pytest.MonkeyPatch, full_home: Path, page: str, query: dict[str, str], names: set[str]
) -> None:
    offered = checked_exports(monkeypatch, full_home)
    open_page(monkeypatch, full_home, page, **query)
    assert names <= set(offered)


def test_every_metric_of_the_catalogue_is_on_some_page(monkeypatch: pytest.MonkeyPatch, full_home: Path) -> None:
    for page in FILES:
        if page not in shown_on_full:
            shown_on_full[page] = text(open_page(monkeypatch, full_home, page))
    everything = html.unescape("\n".join(shown_on_full.values()))
    assert [metric.title for metric in METRICS.values() if metric.title not in everything] == []
