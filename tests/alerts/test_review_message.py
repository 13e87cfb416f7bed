"""The weekly review's summary: within Slack's limits whatever the week was, to the review channel, once, and to the console without one."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import backlot
import pytest
from hypothesis import given, settings

from alerts.deliver import Result, deliver_due
from alerts.model import Alert
from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.slack import SlackReceiver
from alerts.render import BLOCKS_MAX, FIELD_MAX, HEADER_MAX, SECTION_MAX, TEXT_MAX, console_text, slack_message, units
from controlplane.core.weekly_words import words
from jobs.weekly_tell import message, tell
from tests.core.weekly_documents import document, documents

from .conftest import NOW, State, review_rules, wired
from .test_slack_emulator import Channel

PATH = "reports/review/2026-W46-v1.html"


def told(**more: Any) -> dict[str, Any]:
    found = document(**more)
    return found | {"words": words(found)}


def texts(blocks: list[dict[str, Any]]) -> list[str]:
    return [block["text"]["text"] for block in blocks if "text" in block]


def test_it_says_headline_measures_may_we_grow_changes_and_where_to_read_on() -> None:
    alert = Alert.from_dict(message(told(), PATH, NOW, "http://127.0.0.1:8501").payload)
    sent = slack_message(alert)
    (attachment,) = sent["attachments"]
    shown = "\n".join(texts(attachment["blocks"]))
    assert texts(sent["blocks"]) == ["INFO · Weekly review 2026-W46"]
    order = [
        "Week 2026-W46: of 5 success measures, 1 improved",
        "*May we grow?*",
        "Not yet: evidence is missing.",
        "*Success measures*",
        "▲ Customers rate the assistant 4.21, the menu 3.87: better by 0.34 points",
        "▼ The assistant misunderstands",
        "? Unknown: escalation",
        "*What changed*",
        "Tokens per request of the assistant rose by 112 tokens",
        "*Read on*",
        PATH,
        "<http://127.0.0.1:8501/review?week=2026-W46|Review>",
    ]
    places = [shown.find(words) for words in order]
    assert -1 not in places
    assert places == sorted(places)
    assert "Customers exposed" not in json.dumps(sent)
    text = console_text(alert)
    assert all(words in text for words in ("May we grow?:", "Success measures:", "What changed:", PATH))


@given(documents())
@settings(max_examples=30)
def test_any_week_fits_into_slack(found: dict[str, Any]) -> None:
    alert = Alert.from_dict(message(found | {"words": words(found)}, PATH, NOW).payload)
    sent = slack_message(alert, reference="ref")
    blocks = sent["attachments"][0]["blocks"]
    assert 0 < units(sent["text"]) <= TEXT_MAX
    assert len(blocks) + 1 <= BLOCKS_MAX
    assert units(sent["blocks"][0]["text"]["text"]) <= HEADER_MAX
    assert all(0 < units(text) <= SECTION_MAX for text in texts(blocks))
    assert all(0 < units(field["text"]) <= FIELD_MAX for block in blocks for field in block.get("fields", []))


def test_it_is_posted_once_to_the_review_channel(state: State, emulator: backlot.Server) -> None:
    channel = Channel(emulator)
    receivers = {
        "slack-review": SlackReceiver.connect(channel.token, channel.id, channel.url, name="slack-review"),
        "console": ConsoleReceiver(io.StringIO()),
    }
    rules = review_rules()
    for hour in range(3):  # the job runs again: nothing is added, nothing is sent again
        now = NOW + timedelta(hours=6 * hour)
        assert tell(state, told(), PATH, now) is (hour == 0)
        results = deliver_due(state, state, receivers, now, rules)
        assert [(item.result, item.receiver) for item in results] == (
            [(Result.SENT, "slack-review")] if hour == 0 else []
        )
    assert [item.kind for item in state.outbox()] == ["review"]
    history = channel.client.conversations_history(channel=channel.id, limit=200)["messages"]
    assert sum("Weekly review 2026-W46" in item["text"] for item in history) == 1
    corrected = told(review_id="2026-W46-v2", corrects="2026-W46-v1", correction_reason="a late file", version=2)
    assert tell(state, corrected, PATH, NOW + timedelta(days=1))
    (sent,) = deliver_due(state, state, receivers, NOW + timedelta(days=1), rules)
    assert sent.result is Result.SENT
    history = channel.client.conversations_history(channel=channel.id, limit=200)["messages"]
    assert sum("Weekly review 2026-W46, corrects 2026-W46-v1" in item["text"] for item in history) == 1


def test_without_a_review_channel_the_console_is_told_and_the_incidents_channel_is_not(
    state: State, emulator: backlot.Server
) -> None:
    channel, stream = Channel(emulator), io.StringIO()
    receivers = {"slack": channel.receiver(), "console": ConsoleReceiver(stream)}
    tell(state, told(week="2026-W45", review_id="2026-W45-v1"), PATH, NOW)
    (result,) = deliver_due(state, state, receivers, NOW, wired(channel.url).alerting.rules)
    assert (result.result, result.receiver) == (Result.SENT, "console")
    assert "INFO · Weekly review 2026-W45" in stream.getvalue()
    history = channel.client.conversations_history(channel=channel.id, limit=200)["messages"]
    assert not any("2026-W45" in item["text"] for item in history)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8501"])
def test_it_links_to_the_dashboards_only_where_there_are_any(url: str | None) -> None:
    alert = Alert.from_dict(message(told(), PATH, NOW, url).payload)
    assert [link.url for link in alert.links] == ([f"{url}/review?week={told()['week']}"] if url else [])
