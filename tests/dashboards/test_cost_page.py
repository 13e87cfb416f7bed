"""Cost and Conversation as a person sees them: on the demo's workspace with its control process, for who may read and who may not."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.control import Control
from tests.dashboards.conftest import TOKEN
from tests.dashboards.pages import charts, open_page, text

STORY = '<ol class="cp-talk">'


def key(app: Any, kind: str, name: str) -> Any:
    return next(one for one in getattr(app, kind) if one.key == name)


def test_cost_says_what_a_resolved_conversation_costs_and_what_would_save_money(
    monkeypatch: pytest.MonkeyPatch, full_control: Control
) -> None:
    app = open_page(monkeypatch, full_control.deps.home, "cost", control=(full_control.server.url, TOKEN), person="4")
    shown = text(app)
    assert "A resolved conversation costs $0.000" in shown
    for title in (
        "Cost per resolved conversation",
        "Tokens per request",
        "Cost per 1K tokens",
        "Costly share",
        "Unpriced share",
    ):
        assert title in shown
    for words in (
        "Model usage distribution",
        "extractive-1",
        " resolved \u00b7 final",  # a resolution is told with the rating
        "a forecast needs 7",
        "By release and phase",
    ):
        assert words in shown
    assert charts(app) == 5
    key(app, "button", "task_cost_traffic").click().run()
    for _ in range(100):
        if "With people in it" in text(app):
            break
        time.sleep(0.1)
        app.run()
    shown = text(app)
    for words in (
        "Small model for low-risk questions",
        "Cache answers to the same words",
        "Shorter prompts",
        "No month is told",
    ):
        assert words in shown
    assert "Menu" in shown
    assert charts(app) == 6
    before = shown.count("a small model at 20 % of")
    key(app, "number_input", "pick_small").set_value(50.0).run()
    assert before == 2
    assert text(app).count("a small model at 50 % of") == 2
    assert app.query_params["small"] in ("50", ["50"])


def test_cost_without_a_log_in_shows_the_snapshot_and_says_what_the_rest_takes(
    monkeypatch: pytest.MonkeyPatch, healthy_home: Path
) -> None:
    app = open_page(monkeypatch, healthy_home, "cost", window="28 days")
    shown = text(app)
    assert "for model calls in the last 28 days" in shown
    assert "What-ifs need the logs." in shown
    assert "Cost per 1K tokens" in shown
    assert "final" in shown
    assert charts(app) == 3 + 2 + 1
    assert not [button.label for button in app.button]


def test_an_address_that_makes_no_sense_is_the_default(monkeypatch: pytest.MonkeyPatch, healthy_home: Path) -> None:
    app = open_page(monkeypatch, healthy_home, "cost", small="much", trim="900", window="<script>")
    assert [key(app, "number_input", f"pick_{name}").value for name in ("small", "trim")] == [20.0, 20.0]
    assert "in the last 7 days" in text(app)


def test_a_conversation_is_found_read_and_the_reading_is_on_record(
    monkeypatch: pytest.MonkeyPatch, full_control: Control
) -> None:
    deps, way = full_control.deps, (full_control.server.url, TOKEN)
    app = open_page(monkeypatch, deps.home, "conversation", control=way, find="ungrounded")
    shown = text(app)
    assert re.search("Read (this|these) first: [0-9,]+ of ", shown)
    assert "How often it happens" in shown
    name = app.get("page_link")[0].proto.query_string.removeprefix("id=")
    assert name
    before = len(deps.state.audit_rows())
    one = open_page(monkeypatch, deps.home, "conversation", control=way, id=name)
    assert "Who is reading?" in text(one)
    assert len(deps.state.audit_rows()) == before
    key(one, "text_input", "reader_name").set_value("Ana Lopez")
    next(button for button in one.button if button.label == "Read the conversation").click().run()
    told = text(one)
    for words in ("not backed by", STORY, "Read by Ana Lopez", "Given to the assistant"):
        assert words in told
    one.run()
    rows = deps.state.audit_rows()[before:]
    assert [(row["actor"], row["event"], row["subject"]) for row in rows] == [("Ana Lopez", "conversation_read", name)]
    key(one, "text_input", "pick_id").set_value("nobody-wrote-this").run()
    assert "No conversation has this id." in text(one)
    assert len(deps.state.audit_rows()) == before + 1


def test_who_may_not_read_sees_counts_and_no_conversation(
    monkeypatch: pytest.MonkeyPatch, full_control: Control
) -> None:
    home, way = full_control.deps.home, (full_control.server.url, TOKEN)
    shown = text(open_page(monkeypatch, home, "conversation", control=way, role="viewer"))
    assert "Single conversations are for operators." in shown
    assert "To query facts takes the role operator" in shown
    assert "Handed to a person" in shown
    one = text(open_page(monkeypatch, home, "conversation", control=way, role="viewer", id="s7-c000001"))
    assert "Single conversations are for operators." in one
    assert STORY not in one
