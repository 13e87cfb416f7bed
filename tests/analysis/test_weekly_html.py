"""The page of the weekly review: self-contained, escaped, well formed and readable, for any review; and it opens with the answers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings

from controlplane.analysis.weekly_html import render
from controlplane.analysis.weekly_svg import interval_bar, ratings, timeline
from controlplane.core.weekly_diff import differences
from tests.core.weekly_documents import document, documents

VOID = {"meta", "br", "line", "rect", "circle"}


class Page(HTMLParser):
    """Checks that what is opened is closed, and keeps the text that people see."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.shown: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag, (tag, self.open[-3:])

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.shown.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).replace("\u00a0", " ").split())


def test_it_is_one_file_without_a_request_or_a_script() -> None:
    page = render(document())
    assert "<script" not in page
    assert not re.search(r"https?:|url\(|@import|src=", page)
    assert page.startswith("<!doctype html>")
    assert "@page{size:A4" in page


def test_it_opens_with_the_five_measures_then_may_we_grow_then_the_changes() -> None:
    text = Page(render(document())).text
    order = [
        "Week 2026-W46",
        "The five success measures",
        "May we grow?",
        "What changed",
        "The figures",
        "Sign-off",
        "How to check it",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    for shown in (
        "+0.34 pts",
        "+0.21 to +0.47 pts",
        "improved",
        "4.21",
        "n 1,204",
        "99 % of the labels are final",
        "margin 0.10 pts",
    ):
        assert shown in text
    assert "controlplane review verify 2026-W46-v1" in text


def test_what_people_wrote_is_text() -> None:
    evil = "<img src=x onerror=alert(1)>"
    found = document(
        incidents=({"incident_id": "i", "title": evil, "state": "open"},),
        topics={"topics": [{"label": evil, "n": 3, "share": 0.1, "new": True, "examples": [evil]}]},
        decisions=({"at": "2026-11-10T00:00:00Z", "actor": evil, "event": "x", "reason": evil},),
        owners={"policy": evil, "open_actions": [{"what": evil}]},
        drift={"columns": {evil: {"verdict": "ERROR", "reason": evil}}, "broken": [evil]},
        tradeoff={"verdict": evil, "reason": evil},
        notes=(evil,),
    )
    signed = [{"actor": evil, "note": evil, "verdict": "agree", "at": "2026-11-16T09:00:00Z"}]
    page = Page(render(found, signed))
    assert not any(tag == "img" for tag, _ in page.tags)
    assert evil in page.text


@given(documents())
@settings(max_examples=30)
def test_any_review_has_a_well_formed_page_that_says_nothing_of_what_is_missing(found: dict[str, Any]) -> None:
    page = Page(render(found))
    assert not re.search(r"\b(None|nan|inf)\b", page.text)
    for tag, attributes in page.tags:
        if tag == "th":
            assert attributes.get("scope") in ("col", "row")
        if tag == "svg":
            assert attributes.get("role") == "img"
            assert attributes.get("aria-label")


@pytest.mark.parametrize(
    "found", [{}, {"success": [], "figures": [], "csat": {}, "words": {}}, {"drift": {"columns": {}}, "funnel": None}]
)
def test_an_empty_review_says_so(found: dict[str, Any]) -> None:
    text = Page(render(found)).text
    assert "No success measure was looked at." in text
    assert "Unknown: whether the rollout may grow was not answered." in text
    assert "No incident this week." in text


def test_a_page_is_made_from_the_document_alone() -> None:
    found = document()
    assert render(found) == render(json.loads(json.dumps(found)))


def test_signatures_stand_beside_the_document() -> None:
    signed = [
        {"actor": "mira", "verdict": "agree", "note": "read", "at": "2026-11-16T09:00:00Z", "document_hash": "h"},
        {
            "actor": "jon",
            "verdict": "object",
            "note": "too young",
            "at": "2026-11-16T10:00:00Z",
            "document_hash": "other",
        },
    ]
    text = Page(render(document(owners={"programme": ["mira", "jon", "lu"]}), signed, "h")).text
    assert re.search(r"mira ✓ agrees read 2026-11-16 09:00 UTC", text)
    assert re.search(r"jon ✗ objects ✗ signed other content too young", text)
    assert "lu, date, agrees or objects" in text
    assert "mira, date" not in text


def test_a_correction_names_what_it_corrects_and_what_changed() -> None:
    before, after = (
        document(),
        document(corrects="2026-W46-v1", correction_reason="a late file", version=2, review_id="2026-W46-v2"),
    )
    after["success"][0]["assistant"]["value"] = 4.26
    changed = differences(before, after)
    text = Page(render(after, changed=changed)).text
    assert "Version 2 corrects 2026-W46-v1 : a late file" in text
    assert "CSAT, assistant: 4.26 instead of 4.21." in text
    assert "Corrected by 2026-W46-v2" in Page(render(before, corrected_by="2026-W46-v2")).text


def test_each_number_names_its_query_and_the_policy() -> None:
    found = document()
    for item, name in zip(found["success"], ("a", "b", "c", "d", "e"), strict=True):
        item["source"] = item["source"] | {
            "query": f"review/{name}",
            "parameters": {"since": "2026-11-09", "own": name},
        }
    text = Page(render(found)).text
    for name in "abcde":
        assert f"review/{name}" in text
        assert f"own = {name}" in text
    assert "abababababababab" in text
    assert "cdcdcdcdcdcdcdcd" in text


def luminance(colour: str) -> float:
    channels = (
        [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        if len(colour) == 7
        else [int(c * 2, 16) / 255 for c in colour[1:]]
    )
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.1, relative contrast of two colours."""
    first, second = sorted((luminance(one), luminance(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def palettes() -> dict[str, dict[str, str]]:
    """The colours of light, dark and print."""
    shared = files("controlplane").joinpath("report_style.css").read_text(encoding="utf-8")
    own = files("controlplane.analysis").joinpath("weekly_html.css").read_text(encoding="utf-8")
    roots = [re.findall(r":root\{([^}]*)\}", text) for text in (shared, own)]
    found = [dict(re.findall(r"--([a-z-]+):(#[0-9a-f]+)", body)) for body in (*roots[0], *roots[1])]
    return {"light": found[0], "dark": found[1], "print": found[2]}


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_words_can_be_read(name: str) -> None:
    colours = palettes()[name]
    for ink in ("ink", "soft"):
        for ground in ("card", "page"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for tone in ("good", "bad", "wait", "none"):
        assert contrast(colours[tone], colours[f"{tone}-soft"]) >= 4.5, tone


def test_the_interval_is_drawn_where_it_lies() -> None:
    drawn = interval_bar({"value": 0.34, "low": 0.21, "high": 0.47}, "points", "higher", "good", margin=0.1)
    zero, dot = (
        float(re.search(pattern, drawn)[1]) for pattern in (r'x1="([\d.]+)" x2="[\d.]+" y1="3"', r'cx="([\d.]+)"')
    )  # type: ignore[index]
    low, high = map(float, re.search(r'x1="([\d.]+)" x2="([\d.]+)" y1="15"', drawn).groups())  # type: ignore[union-attr]
    assert zero < low < dot < high
    assert "difference +0.34 points, interval +0.21 to +0.47 points" in drawn
    assert interval_bar({"value": None, "low": None, "high": None}, "share", "lower", "none") == ""
    assert interval_bar(None, "share", "lower", "none") == ""


def test_ratings_and_times() -> None:
    assert ratings([0, 0, 0, 0, 0]) == ""
    assert "1: 10, 2: 0, 3: 0, 4: 20, 5: 70" in ratings([10, 0, 0, 20, 70])
    line = timeline([("detected", "2026-11-10T09:12:00Z"), ("cut", "2026-11-10T09:12:00.200Z"), ("verified", None)])
    assert "detected 10 Nov 09:12:00, cut +0.2 s, verified unknown" in line
