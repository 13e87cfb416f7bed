"""Where an incident stands, what there is to press, and its thread, as people see them."""

from dataclasses import replace
from typing import Any

import pytest

from alerts.buttons import Press, read
from alerts.model import Alert, Link, resolved
from alerts.render import console_text, slack_message, slack_reply
from alerts.render_buttons import buttons_of
from alerts.wording import facts
from alerts.wording_incident import mentions, standing_facts

from .conftest import NOW, an_alert

ACKED = {"state": "acknowledged", "owner": "Kim", "acknowledged_at": "2026-01-05T10:01:00+01:00"}
ROLLOUT = {"release": "2026.2", "rollout_id": "r-1", "trigger": "api_errors"}


def held(**labels: str) -> Alert:
    own = {"alertname": "hold", "action": "hold", "category": "metric", **ROLLOUT, **labels}
    return an_alert(labels={name: value for name, value in own.items() if value})


def pressed(alert: Alert, listens: bool = True) -> list[str]:
    return [button.action_id for button in buttons_of(alert, listens)]


def shown(payload: dict[str, Any]) -> str:
    return str(payload["blocks"] + payload["attachments"][0]["blocks"])


@pytest.mark.parametrize(
    ("labels", "presses"),
    [
        ({}, ["incident_ack", "rollout_rollback", "trigger_override", "open_evidence"]),
        (
            {"alertname": "execution_disabled", "action": "disable_execution"},
            ["incident_ack", "rollout_hold", "rollout_rollback", "trigger_override", "open_evidence"],
        ),
        ({"alertname": "rollback", "action": "rollback", "category": ""}, ["incident_ack", "open_evidence"]),
        ({"alertname": "rollback_not_verified", "action": ""}, ["incident_ack", "open_evidence"]),
        ({"category": "validity"}, ["incident_ack", "rollout_rollback", "open_evidence"]),
        ({"metric": "misrouting_rate"}, ["incident_ack", "rollout_rollback", "open_evidence"]),
        (
            {"alertname": "contained_category", "action": "contain", "category": "safety"},
            ["incident_ack", "rollout_hold", "rollout_rollback", "open_evidence"],
        ),
        ({"rollout_id": ""}, ["incident_ack", "open_evidence"]),
    ],
)
def test_only_what_makes_sense_is_there_to_press(labels: dict[str, str], presses: list[str]) -> None:
    assert pressed(held(**labels)) == presses


def test_what_has_been_pressed_or_is_over_is_not_there_any_more() -> None:
    assert "incident_ack" not in pressed(replace(held(), standing=ACKED))
    contained = replace(held(), standing={"state": "contained"})
    assert "incident_ack" in pressed(contained)  # the machine contained it; nobody has said that they are on it
    assert pressed(replace(contained, standing={**ACKED, "state": "contained"}))[0] != "incident_ack"
    for over in (
        resolved(held(), NOW),
        replace(held(), standing={"state": "resolved"}),
        replace(held(), standing={"state": "reviewed"}),
    ):
        assert pressed(over) == ["open_evidence"]


def test_where_nobody_listens_there_is_nothing_to_press_and_the_command_is_named() -> None:
    assert pressed(held(), listens=False) == ["open_evidence"]
    message = slack_message(held(), buttons=buttons_of(held(), listens=False))
    assert "controlplane incident ack inc-1 --actor YOU" in shown(message)
    assert "incident ack" not in shown(slack_message(held(), buttons=buttons_of(held())))
    assert "incident ack" not in shown(slack_message(replace(held(), standing=ACKED)))


def test_a_press_says_which_incident_rollout_and_trigger_it_was() -> None:
    (ack, rollback, override, evidence) = buttons_of(held())
    assert {read(button.value) for button in (ack, rollback, override)} == {("inc-1", "r-1", "api_errors")}
    assert (evidence.value, evidence.url) == ("", "http://127.0.0.1:8501/review?a=1&b=2")
    assert "All customers of 2026.2 go back at once" in rollback.confirm
    assert not ack.confirm


def test_an_alert_without_an_incident_can_still_be_acted_on_and_a_review_cannot() -> None:
    page = replace(held(alertname="trigger", action="page"), incident_id=None)
    assert pressed(page) == ["rollout_hold", "rollout_rollback", "open_evidence"]
    weakened = replace(held(alertname="trigger", action="rollback"), incident_id=None)
    assert Press.ROLLBACK in pressed(weakened)  # the machine has not cut anything
    assert pressed(an_alert(labels={"alertname": "review"}, incident=None)) == []


def test_ids_too_long_for_a_button_cost_the_buttons_and_not_the_message() -> None:
    assert pressed(held(rollout_id="r" * 3_000)) == ["open_evidence"]


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ({}, ["Open, not acknowledged", "nobody yet"]),
        (ACKED, ["Acknowledged at 2026-01-05 09:01:00 UTC", "Kim"]),
        (
            {**ACKED, "state": "contained", "acknowledged_by": "Lee"},
            ["Contained, verified, acknowledged by Lee at 2026-01-05 09:01:00 UTC", "Kim"],
        ),
        ({"state": "contained"}, ["Contained, verified, not acknowledged", "nobody yet"]),
        ({"state": "contained", "verified": "no"}, ["Contained, NOT verified, not acknowledged", "nobody yet"]),
        ({"state": "resolved", "owner": "Kim"}, ["Resolved, review to be done", "Kim"]),
        (
            {"state": "reviewed", "due": "2026-01-20T09:00:00"},
            ["Reviewed and closed", "nobody yet", "2026-01-20 09:00:00 UTC"],
        ),
        ({"state": "odd", "due": "soon"}, ["odd, not acknowledged", "nobody yet", "soon"]),
    ],
)
def test_where_an_incident_stands(standing: dict[str, str], words: list[str]) -> None:
    alert = replace(an_alert(), standing=standing)
    assert [value for _, value in standing_facts(alert)] == words
    assert facts(alert)[: len(words)] == standing_facts(alert)
    assert len(facts(replace(held(phase="ramp", metric="m", segment="s"), standing={**standing, "due": "x"}))) <= 10


def test_an_alert_without_an_incident_stands_nowhere() -> None:
    assert standing_facts(an_alert(incident=None)) == []


def test_the_thread_tells_the_step_and_calls_people_by_name_there_alone() -> None:
    ladder = an_alert(annotations={"title": "T", "mention": "U012ABCDEF, W1 <!channel> u1 U9 U012ABCDEF"})
    ladder = replace(ladder, step="Nobody acknowledged <within> 5 min: second line is told")
    assert mentions(ladder) == ["U012ABCDEF"]
    reply = slack_reply(ladder, reference="ref x")["text"]
    assert reply == "<@U012ABCDEF>\n*Nobody acknowledged &lt;within&gt; 5 min: second line is told*\nref x"
    assert "U012ABCDEF" not in str(slack_message(ladder))


def test_several_steps_are_all_told_and_of_very_many_the_newest() -> None:
    alert = replace(an_alert(), step="c")
    assert slack_reply(alert, steps=["a", "b", "c"])["text"] == "• a\n• b\n• c"
    assert slack_reply(an_alert(), steps=["a"])["text"].startswith("*CRITICAL · Escalations rose*")
    many = slack_reply(alert, steps=[f"{n} {'x' * 400}" for n in range(100)])["text"]
    assert many.startswith("• … earlier ones: controlplane incident show inc-1\n")
    assert "\n• 99 xxx" in many
    some = slack_reply(alert, steps=[f"{n} {'x' * 400}" for n in range(18)])["text"]
    assert [f"• {n} x" in some for n in range(18)] == [True] * 18


def test_what_to_do_first_and_where_the_runbook_is() -> None:
    body = shown(slack_message(an_alert()))
    assert "controlplane incident causes inc-1" in body
    assert "Runbook: docs/how-to/on-call.md, section rollback" in body
    linked = an_alert(annotations={"title": "T", "runbook": "https://wiki.example/rollback?x=1&y=2"})
    assert "<https://wiki.example/rollback?x=1&amp;y=2|Runbook>" in shown(slack_message(linked))
    assert "Do first" not in shown(slack_message(resolved(an_alert(), NOW)))
    assert "Runbook" not in shown(slack_message(an_alert(labels={"alertname": "of somebody else"})))
    unseen = replace(an_alert().times, verified=None)
    for standing, times, words in (
        ({}, an_alert().times, "Acknowledge. Nothing is left to stop"),
        (ACKED, an_alert().times, "Nothing is left to stop"),
        (ACKED, unseen, "The cut is being verified"),
    ):
        assert f"Do first: {words}" in console_text(replace(an_alert(), standing=standing, times=times))
    assert "Acknowledge: controlplane incident ack inc-1 --actor YOU" in console_text(an_alert())


def test_a_link_that_is_a_button_is_not_told_twice() -> None:
    alert = replace(held(), links=(Link("Evidence", "http://127.0.0.1/e"), Link("Report", "http://127.0.0.1/r")))
    body = shown(slack_message(alert, buttons=buttons_of(alert)))
    assert body.count("http://127.0.0.1/e") == 1
    assert "<http://127.0.0.1/r|Report>" in body


def test_the_picture_is_shown_with_words_for_those_who_cannot_see_it() -> None:
    (image,) = [b for b in slack_message(an_alert(), picture="F07")["attachments"][0]["blocks"] if b["type"] == "image"]
    assert image["slack_file"] == {"id": "F07"}
    assert image["alt_text"] == "Evidence against its threshold: Escalations rose"


def test_steps_before_anybody_could_be_told_stand_in_the_first_message() -> None:
    body = shown(slack_message(an_alert(), steps=["Kim acknowledged: on it"]))
    assert "*Steps so far*\\n• Kim acknowledged: on it" in body


def test_a_terminal_that_has_shown_the_incident_gets_the_step_and_where_it_stands() -> None:
    step = replace(an_alert(), step="Kim acknowledged: on it", standing=ACKED)
    assert console_text(step, brief=True).split("\n") == [
        "CRITICAL · Escalations rose",
        "  Kim acknowledged: on it",
        "  Rolled back, verified in 4.2 s after detection.",
        "  State: Acknowledged at 2026-01-05 09:01:00 UTC | Owner: Kim | alert a1",
    ]
    assert "Evidence" in console_text(step)
    assert "Evidence" in console_text(an_alert(), brief=True)  # it is no step: the alert itself has changed
