"""Where messages lead: each link opens an existing page, with filters that survive odd names, and none is made without dashboards."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from jobs import links

BASE = "https://dash.example.com"
ODD = "r1/a&b=c #d"


def test_a_link_names_its_page_and_what_it_is_about() -> None:
    found = {
        "incidents": (links.of_incident(BASE, ODD)[0], {"incident": [ODD]}),
        "live": (links.of_live(BASE)[0], {}),
        "drift": (links.of_drift(BASE, ODD)[0], {"report": [ODD]}),
        "review": (links.of_review(BASE, "2026-W02")[0], {"week": ["2026-W02"]}),
    }
    pages = Path(__file__).parents[2] / "dashboards" / "app_pages"
    for page, (link, filters) in found.items():
        parts = urlsplit(link.url)
        assert (f"{parts.scheme}://{parts.netloc}", parts.path) == (BASE, f"/{page}")
        assert parse_qs(parts.query) == filters
        source = (pages / f"{page}_page.py").read_text()
        assert all(f'"{name}"' in source for name in filters), "the page reads the filter of the link"


def test_without_dashboards_there_is_no_link() -> None:
    assert (
        links.of_incident(None, "i")
        == links.of_live(None)
        == links.of_drift(None, "a")
        == links.of_review(None, "w")
        == ()
    )


def test_the_incident_comes_first_because_it_is_what_the_button_opens() -> None:
    assert [link.title for link in links.of_incident(BASE, "i")] == ["Incident", "Live"]
