"""The post-incident report on paper: every section from one document, nothing known left out, nothing unknown made up, nothing taken for markup."""

from __future__ import annotations

import re
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.analysis.incident_html import page
from controlplane.analysis.incident_markdown import markdown
from controlplane.analysis.incident_svg import time_line

NONE = dict.fromkeys(("onset", "detected", "alerted", "acknowledged", "cut", "verified", "resolved", "reviewed"))
SPANS = dict.fromkeys(("detect", "alert", "acknowledge", "cut", "contain", "resolve", "review"))
DOCUMENT: dict[str, Any] = {
    "incident_id": "v2-1f3a-v7",
    "title": "v2 rolled back: hallucination breach",
    "release": "v2",
    "rollout_id": "v2-1f3a",
    "severity": "critical",
    "state": "reviewed",
    "trigger": "hallucination_breach",
    "owner": "Kim",
    "serious": {"since": "2026-01-05T10:16:00.000000Z", "kind": "other", "due_at": "2026-01-20T10:16:00.000000Z"},
    "written_at": "2026-01-06T09:00:00.000000Z",
    "customers_exposed": 1178,
    "times": NONE
    | {
        "onset": "2026-01-05T10:12:00.000000Z",
        "detected": "2026-01-05T10:16:00.000000Z",
        "alerted": "2026-01-05T10:16:01.000000Z",
        "cut": "2026-01-05T10:16:00.000000Z",
        "verified": "2026-01-05T10:16:10.000000Z",
        "acknowledged": "2026-01-05T10:18:00.000000Z",
        "resolved": "2026-01-05T11:00:00.000000Z",
    },
    "seconds": SPANS
    | {"detect": 240.0, "alert": 1.0, "cut": 0.0, "contain": 10.0, "acknowledge": 120.0, "resolve": 2640.0},
    "summary": "hallucination_rate is beyond its limit of 5 %",
    "promise": "any automatic rollback <= 1 %",
    "evidence": ["hallucination_breach: evidence 1,250 of 400 needed (fired); assistant 31/60 = 51.7 %"],
    "done": ["all traffic cut to the menu"],
    "containments": [
        {
            "action": "rollback",
            "done_at": "2026-01-05T10:16:00Z",
            "verified_at": "2026-01-05T10:16:10Z",
            "how": "20 probes",
        },
        {
            "action": "disable_execution",
            "done_at": "2026-01-05T10:16:00Z",
            "verified_at": None,
            "how": "a workflow ran",
        },
    ],
    "timeline": [{"at": "2026-01-05T10:16:00Z", "actor": "automatic", "text": "rollback: beyond its limit"}],
    "told": [
        {
            "message": "v2-1f3a-v7:opened",
            "written_at": "2026-01-05T10:16:00Z",
            "status": "sent",
            "receiver": "slack",
            "sent_at": "2026-01-05T10:16:01Z",
            "attempts": 1,
        }
    ],
    "causes": {"causes": [{"title": "knowledge base", "standing": "likely", "evidence": ["changed 4 min before"]}]},
    "actions": [
        {
            "text": "Check imports",
            "kind": "knowledge",
            "owner": "Sam",
            "due_at": None,
            "open": True,
            "outcome": "",
            "evidence": "",
        },
        {
            "text": "Guard",
            "kind": "guardrail",
            "owner": "Sam",
            "due_at": None,
            "open": False,
            "outcome": "done",
            "evidence": "ev-7",
        },
    ],
    "learned": [{"added": 40, "dataset": "support", "version": "ab" * 32, "labelled": 12}],
    "nothing_learned": [],
    "evaluations": [{"run": "ev-7", "release": "v3", "verdict": "PASS"}],
    "after": {"release": "v3", "state": "RUNNING", "phase": "internal"},
}
EMPTY = DOCUMENT | {
    **{
        name: []
        for name in ("evidence", "done", "containments", "timeline", "told", "actions", "learned", "evaluations")
    },
    "times": NONE,
    "seconds": SPANS,
    "summary": "",
    "promise": "",
    "owner": "",
    "serious": {},
    "after": None,
    "customers_exposed": None,
    "causes": {"unknown": "no facts"},
    "state": "open",
}


class Words(HTMLParser):
    """The text of a page, its tags, and the addresses in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.skip = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.skip = tag == "style"
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if not self.skip:
            self.found.append(data)
        self.skip = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.found).replace("\u00a0", " ").split())


def test_everything_known_is_on_the_page_and_nothing_is_loaded() -> None:
    words = Words(page(DOCUMENT))
    for said in (
        *(
            "resolved and reviewed; in charge: Kim",
            "1,178 customers were exposed",
            "Serious incident",
            "due 2026-01-20 10:16",
        ),
        *("evidence 1,250 of 400 needed", "detection to verified containment 10.0 s", "NOT verified", "knowledge base"),
        *("40 conversations joined data set support", "Evaluation ev-7 of v3", "Release v3 followed", "done: ev-7"),
        *("Not known or not yet: reviewed", "v2-1f3a-v7:opened", "any automatic rollback <= 1 %"),
    ):
        assert said in words.text, said
    assert words.addresses == []
    assert not words.tags & {"script", "link", "img", "iframe", "form"}


def test_what_is_not_known_is_said() -> None:
    words = Words(page(EMPTY)).text
    for said in (
        *("Unknown how many customers met it", "nobody is in charge", "No alert with a reason", "Nobody was told"),
        *("No statistical evidence", "Nothing was cut", "Unknown: no facts", "Nothing yet", "No action item"),
    ):
        assert said in words, said
    assert "None" not in words


def test_a_cut_without_a_containment_record_is_not_called_verified() -> None:
    found = EMPTY | {"times": NONE | {"cut": "2026-01-05T10:16:00Z"}}
    assert "Traffic was cut at 2026-01-05 10:16:00 UTC; NOT verified" in Words(page(found)).text


def test_markdown_says_the_same() -> None:
    text = markdown(DOCUMENT)
    for said in (
        *("# Incident v2-1f3a-v7: v2 rolled back", "- onset to detection: 4.0 min", "resolution to review: not known"),
        *(
            "NOT verified",
            "- [ ] Check imports",
            "- [x] Guard",
            "| likely onset | 2026-01-05 10:12:00 |",
            "1. **knowledge base**",
            "- **Serious incident** (other): due 2026-01-20 10:16:00 UTC, **not reported**",
            "- v2-1f3a-v7:opened: sent, slack, 2026-01-05 10:16:01",
        ),
    ):
        assert said in text.replace("\\_", "_"), said
    assert "None" not in markdown(EMPTY)


def test_a_second_round_is_said_beside_the_times() -> None:
    again = DOCUMENT | {"asked_again": "2026-01-05T12:00:00Z"}
    for said in (Words(page(again)).text, markdown(again)):
        assert "was reopened, at 2026-01-05 12:00:00 UTC: what was done since then counts from there." in said
    assert "was reopened" not in page(DOCUMENT) + markdown(DOCUMENT)
    held = DOCUMENT | {"times": DOCUMENT["times"] | {"cut": None}}
    assert "exposed from the likely onset to the detection" in Words(page(held)).text


HOSTILE = st.text(alphabet="<>&\"'`*_[]|#\n\\ab\u202e", min_size=1, max_size=12)


@given(HOSTILE)
def test_no_text_is_taken_for_markup(text: str) -> None:
    found = deepcopy(DOCUMENT)
    found |= {"title": text, "summary": text, "owner": text, "evidence": [text]}
    found["timeline"] = [{"at": "2026-01-05T10:16:00Z", "actor": text, "text": text}]
    found["actions"][0]["text"] = text
    found["causes"]["causes"][0] |= {"title": text, "evidence": [text]}
    assert Words(page(found)).tags - {"code"} == Words(page(DOCUMENT)).tags - {"code"}
    lines = markdown(found).splitlines()
    assert sum(line.startswith("# ") for line in lines) == 1
    assert [line for line in lines if line.startswith("## ")] == [
        line for line in markdown(DOCUMENT).splitlines() if line.startswith("## ")
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_one_moment_is_no_line(count: int) -> None:
    assert time_line([("detected", "2026-01-05T10:16:00Z")][:count]) == ""


@given(st.lists(st.integers(0, 10**7), min_size=2, max_size=8, unique=True))
def test_moments_stand_in_their_order_inside_the_picture(seconds: list[int]) -> None:
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 1, 5, tzinfo=UTC)
    moments = [(f"m{s}", (start + timedelta(seconds=s)).isoformat()) for s in seconds]
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', time_line(moments))]
    assert places == sorted(places)
    assert 0 <= min(places) < max(places) <= 960
