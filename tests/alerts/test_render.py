"""Block Kit limits on long and odd input, and the words people read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import render
from alerts.model import Alert, Link, Reading, Severity, Status, Times, promise_text
from alerts.render import Button, console_text, cut, slack_message, slack_reply, units
from alerts.render_buttons import buttons_of
from alerts.wording import clean, containment, duration, magnitude, reading_line, timeline

from .conftest import NOW, an_alert

odd = st.text(st.characters(), max_size=40) | st.sampled_from(
    [
        "<!channel>",
        "&" * 4_000,
        "😀" * 3_500,
        "x" * 50_000,
        "\ud800",
        "\x1b[31m",
        " \n ",
        "a|b",
        "<https://x|y>",
        "*_~`",
        "é" * 9_000,
    ]
)
readings = st.builds(
    Reading,
    odd,
    odd,
    odd,
    st.none() | st.floats(-700, 9_000),
    st.floats(0, 40),
    st.booleans(),
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    estimate=odd,
    interval=odd,
)
odd_alerts = st.builds(
    an_alert,
    odd,
    st.none() | odd,
    labels=st.dictionaries(
        st.sampled_from(["alertname", "release", "rollout_id", "phase", "trigger", "action", "segment", "metric"]),
        odd | st.sampled_from(["rollback", "hold", "execution_disabled", "trigger"]),
    ),
    annotations=st.fixed_dictionaries(
        {
            "title": odd,
            "summary": odd,
            "runbook": odd,
            "mention": odd | st.sampled_from(["U012ABCDEF,W0XYZ", "<!here>"]),
        }
    ),
    severity=st.sampled_from(Severity),
    status=st.sampled_from(Status),
    readings=st.lists(readings, max_size=40).map(tuple),
    promise=odd,
    customers_exposed=st.none() | st.integers(0, 10**15),
    done=st.lists(odd, max_size=60).map(tuple),
    links=st.lists(st.builds(Link, odd, odd.map(lambda text: f"https://example.com/{text}")), max_size=30).map(tuple),
    step=odd,
    standing=st.dictionaries(
        st.sampled_from(["state", "owner", "acknowledged_at", "acknowledged_by", "due", "verified"]),
        odd | st.sampled_from(["open", "contained", "resolved", "2026-01-05T09:00:00Z"]),
    ),
)
buttons = st.lists(st.builds(Button, odd, odd, st.text(max_size=500), st.just("danger"), odd), max_size=40).map(tuple)


def texts_of(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every text object of a payload with what holds it."""
    if isinstance(value, dict):
        if isinstance(value.get("text"), str) and value.get("type") in ("mrkdwn", "plain_text"):
            yield value["text"], value
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def check_limits(payload: dict[str, Any]) -> None:
    """Slack's documented limits, written here independently of the renderer's constants."""
    blocks = payload["blocks"] + payload["attachments"][0]["blocks"]
    assert len(blocks) <= 50
    assert 0 < units(payload["text"]) <= 4_000
    for block in blocks:
        if block["type"] == "header":
            assert 0 < units(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            assert ("text" in block) != ("fields" in block)
            assert units(block.get("text", {}).get("text", "")) <= 3_000
            assert len(block.get("fields", [])) <= 10
            assert all(units(field["text"]) <= 2_000 for field in block.get("fields", []))
        elif block["type"] == "actions":
            assert 0 < len(block["elements"]) <= 25
            for element in block["elements"]:
                assert units(element["text"]["text"]) <= 75
                assert units(element.get("value", "x")) <= 2_000
                assert len(element["action_id"]) <= 255
                assert len(element.get("url", "")) <= 3_000
                if "confirm" in element:
                    shown = element["confirm"]
                    assert units(shown["title"]["text"]) <= 100
                    assert units(shown["text"]["text"]) <= 300
                    assert max(units(shown[name]["text"]) for name in ("confirm", "deny")) <= 30
            assert len({element["action_id"] for element in block["elements"]}) == len(block["elements"])
        elif block["type"] == "image":
            assert 0 < units(block["alt_text"]) <= 2_000
            assert units(block["title"]["text"]) <= 2_000
        else:
            assert block["type"] == "context"
            assert len(block["elements"]) <= 10
    for text, holder in texts_of(blocks):
        assert text.strip()
        text.encode()  # no lone surrogate
        assert text == clean(text)
        if holder["type"] == "mrkdwn":
            assert holder["verbatim"] is True  # else Slack looks for "@here" in plain text too
            assert "<!" not in text
            assert "<@" not in text


@settings(max_examples=100, deadline=None)
@given(odd_alerts, st.lists(odd, max_size=700).map(tuple), odd, st.lists(odd, max_size=60), st.booleans())
def test_no_input_breaks_slacks_limits(
    alert: Alert, also: tuple[str, ...], note: str, steps: list[str], listens: bool
) -> None:
    mark = "ref 0123456789-0123456789"
    drawn = buttons_of(alert, listens)
    payload = slack_message(alert, also=also, note=note, reference=mark, buttons=drawn, picture="F1", steps=steps)
    check_limits(payload)
    assert payload["text"].endswith(mark)
    sent = slack_reply(alert, note=note, reference=mark, steps=steps)
    reply, (shown,) = sent["text"], sent["blocks"]
    assert units(reply) <= 3_000
    assert reply == f"{shown['text']['text']}\n{mark}"  # nobody needs to see the reference
    assert reply.endswith(mark)
    assert "<!" not in reply
    printed = console_text(alert, also=also, note=note, steps=steps)
    assert printed == clean(printed)


@settings(deadline=None)
@given(buttons)
def test_no_buttons_break_slacks_limits(some: tuple[Button, ...]) -> None:
    distinct = tuple(replace(button, action_id=f"{n}{button.action_id}") for n, button in enumerate(some))
    check_limits(slack_message(an_alert(), buttons=distinct))


@given(odd, st.integers(20, 200), st.booleans())
def test_a_cut_text_is_whole_in_its_escapes(text: str, limit: int, escape: bool) -> None:
    short = cut(text, limit, escape)
    assert 0 < units(short) <= limit
    if escape:
        rest = short.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
        assert not set(rest) & set("&<>")


def test_a_value_that_is_too_long_for_a_button_is_refused() -> None:
    with pytest.raises(ValueError, match="put an id there"):
        slack_message(an_alert(), buttons=(Button("ack", "Acknowledge", "v" * 2_001),))


def test_the_message_says_all_there_is_to_know() -> None:
    alert = replace(
        an_alert(),
        promise=promise_text(0.0005, 0.01, 10),
        times=replace(an_alert().times, alerted=NOW + timedelta(seconds=5)),
    )
    payload = slack_message(alert, also=("WARNING · Slower",), reference="ref x")
    shown = "\n".join(text for text, _ in texts_of(payload["blocks"] + payload["attachments"][0]["blocks"]))
    for words in (
        "CRITICAL · Escalations rose",
        "Rolled back, verified in 4.2 s after detection.",
        "Traffic is back on the menu.",
        "*Customers exposed*\n312",
        "*Release*\n2026.2",
        "escalation (all): evidence 4,447 of 1,998 needed (fired); assistant 41/260 = 15.8 %, baseline 12/240 = 5.0 %",
        "estimate +10.8 points since the likely onset (selected)",
        "onset 2026-01-05 08:57:00 UTC → detected 09:00:00 (+3 min 0 s) → cut 09:00:00 (+0.2 s)",
        "(+0.2 s) → verified 09:00:04 (+4.0 s) → alerted 09:00:05 (+0.8 s)",
        "with probability &lt;= 0.05 %, any automatic rollback &lt;= 1 %",
        "• traffic cut to the menu",
        "• WARNING · Slower",
        "<http://127.0.0.1:8501/review?a=1&amp;b=2|evidence>",
        "alert a1 of incident inc-1",
    ):
        assert words in shown
    assert payload["attachments"][0]["color"] == "#B3261E"
    printed = console_text(alert)
    assert "Rolled back, verified in 4.2 s after detection." in printed
    assert "<= 0.05 %" in printed
    assert "41/260 = 15.8 %" in printed


def test_colour_means_state() -> None:
    colours = {s: slack_message(replace(an_alert(), severity=s))["attachments"][0]["color"] for s in Severity}
    over = slack_message(replace(an_alert(), status=Status.RESOLVED))
    assert len(set(colours.values()) | {over["attachments"][0]["color"]}) == 5
    assert over["blocks"][0]["text"]["text"].startswith("RESOLVED")


@pytest.mark.parametrize(
    ("action", "times", "words"),
    [
        ("rollback", Times(detected=NOW), "Not contained: no cut is recorded yet."),
        ("rollback", Times(detected=NOW, cut=NOW), "Rolled back, NOT verified yet."),
        (
            "rollback",
            Times(cut=NOW, verified=NOW + timedelta(seconds=90)),
            "Rolled back, verified in 1 min 30 s after the cut.",
        ),
        (
            "disable_execution",
            Times(NOW, NOW, NOW, NOW),
            "Workflow execution disabled, verified in 0.0 s after detection.",
        ),
        ("hold", Times(detected=NOW), ""),
        ("", Times(cut=NOW, verified=NOW), "Traffic cut, verified in 0.0 s after the cut."),
    ],
)
def test_containment_is_never_claimed_without_its_verification(action: str, times: Times, words: str) -> None:
    assert containment(an_alert(labels={"action": action}, times=times)) == words


def test_what_is_not_known_is_said() -> None:
    cut_only = an_alert(times=Times(detected=NOW, cut=NOW))
    assert timeline(cut_only).startswith("onset unknown → detected 2026-01-05 09:00:00 UTC")
    assert "verified not yet → alerted not yet" in timeline(cut_only)
    assert timeline(an_alert(times=Times(alerted=NOW))) == ""
    told_first = Times(NOW, NOW, NOW, verified=NOW + timedelta(seconds=10), alerted=NOW)
    assert timeline(an_alert(times=told_first)).endswith("alerted 09:00:00 (+0.0 s) → verified 09:00:10 (+10.0 s)")
    held = an_alert(labels={"action": "hold"}, times=Times(detected=NOW))
    assert "cut" not in timeline(held)
    midnight = an_alert(times=Times(onset=datetime(2026, 1, 4, 23, 59, tzinfo=UTC), detected=NOW))
    assert "detected 2026-01-05 09:00:00" in timeline(midnight)
    unseen = Reading("t", "m", "", None, 7.6, False)
    assert reading_line(unseen) == "t: evidence none of 1,998 needed (not fired); assistant no data"
    rated = Reading("csat", "csat", "vip", 700.0, 7.6, True, 40, None, 0, None, mean_t=3.25)
    assert "assistant mean 3.25 of 40 answers" in reading_line(rated)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (750, "12 min 30 s"),
        (3_600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
        (-5, "-5.0 s"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


@given(st.integers(0, 10**7))
def test_every_duration_has_words(seconds: int) -> None:
    assert duration(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("log_e", "words"),
    [(None, "none"), (0.0, "1"), (7.6, "1,998"), (12.0, "1.63e+05"), (2_302.6, "10^1000"), (-3.0, "0.0498")],
)
def test_evidence_is_readable_at_any_size(log_e: float | None, words: str) -> None:
    assert magnitude(log_e) == words


def test_the_limits_are_slacks() -> None:
    assert (render.HEADER_MAX, render.SECTION_MAX, render.FIELDS_MAX, render.BLOCKS_MAX, render.BUTTONS_MAX) == (
        150,
        3_000,
        10,
        50,
        25,
    )
