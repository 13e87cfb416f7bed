"""What is asked in Slack: one press is one press however it comes, keys are not stored, and nothing that comes is an error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.buttons import Press
from jobs.slack_request import OVERRIDE_FORM, Asked, RequestError, asked, carry, complaint, reference
from tests.jobs.slack_fake import button, command, form

SUBMITTED = {"type": "view_submission", "user": {"id": "U1"}}


def one(payload: Any, kind: str = "interaction") -> Asked:
    (found,) = asked(kind, payload)
    return found


def opened(**more: str) -> dict[str, Any]:
    carried = {"incident": "i1", "rollout": "r1", "trigger": "csat_drop", **more}
    return {"callback_id": OVERRIDE_FORM, "private_metadata": carry(carried)}


def test_a_press_says_who_what_and_of_which_incident() -> None:
    found = one(button(Press.HOLD, "U1", "i1", "r1", "csat_drop", response_url="https://hooks.slack.com/x"))
    assert (found.user_id, found.action, found.subject) == ("U1", "rollout_hold", "i1")
    assert found.payload == {"incident": "i1", "rollout": "r1", "trigger": "csat_drop", "channel": "C0INCIDENTS"}


def test_keys_for_answering_are_not_in_what_is_stored_or_shown() -> None:
    found = one(
        button(Press.HOLD, "U1", "i1", "r1", response_url="https://hooks.slack.com/secret", trigger_id="t-secret")
    )
    assert (found.response_url, found.trigger_id) == ("https://hooks.slack.com/secret", "t-secret")
    assert "secret" not in json.dumps(found.payload) + repr(found)


def test_the_same_press_is_the_same_however_it_comes() -> None:
    first = button(Press.ROLLBACK, "U1", "i1", "r1", action_ts="1.000001")
    again = {**first, "response_url": "https://hooks.slack.com/other", "trigger_id": "other"}
    assert one(first).press_id == one(again).press_id
    later = button(Press.ROLLBACK, "U1", "i1", "r1", action_ts="1.000002")
    other = button(Press.ROLLBACK, "U2", "i1", "r1", action_ts="1.000001")
    acknowledged = button(Press.ACKNOWLEDGE, "U1", "i1", "r1", action_ts="1.000001")
    assert len({one(press).press_id for press in (first, later, other, acknowledged)}) == 4


def test_a_form_sent_off_twice_is_one_and_with_another_reason_another() -> None:
    view = form(opened(), "U1", "known fault")
    again, other = {**view, "trigger_id": "t2"}, form(opened(), "U1", "known fault")
    assert one(view).press_id == one(again).press_id != one(other).press_id
    assert one(view).payload["reason"] == "known fault"
    changed = {**view, "view": {**view["view"], "state": {"values": {"reason": {"text": {"value": "another reason"}}}}}}
    assert one(changed).press_id != one(view).press_id


@pytest.mark.parametrize("reason", ["", "  ", "x", None])
def test_a_form_without_a_reason_stays_open(reason: str | None) -> None:
    assert complaint(form(opened(), "U1", reason or ""))["response_action"] == "errors"
    assert complaint(form(opened(), "U1", "known fault")) == {}
    assert complaint(button(Press.HOLD, "U1")) == {}


def test_commands() -> None:
    found = one(command("  Silence   metric=csat 2h  why not ", "U1"), "command")
    assert (found.action, found.payload["text"]) == ("command:silence", "metric=csat 2h why not")
    assert one(command("", "U1"), "command").action == "command:help"
    first = command("hold x", "U1")
    assert one(first, "command").press_id == one(dict(first), "command").press_id
    assert one(first, "command").press_id != one(command("hold x", "U1"), "command").press_id


def test_what_a_person_writes_is_masked() -> None:
    text = "call anna.muster@example.com"
    assert "anna.muster" not in json.dumps(one(command(f"hold {text}", "U1"), "command").payload)
    assert "anna.muster" not in json.dumps(one(form(opened(), "U1", text)).payload)


def test_a_value_that_is_not_ours_is_kept_and_marked() -> None:
    for strange in ("{}", "[" * 1_990):
        press = button(Press.ROLLBACK, "U1", pressed={"value": strange})
        assert "no value of a button of ours" in one(press).payload["wrong"]


def test_other_kinds_ask_nothing() -> None:
    for kind in ("view_closed", "shortcut", "block_suggestion", None):
        assert asked("interaction", {"type": kind, "user": {"id": "U1"}}) == ()
    assert (
        asked("interaction", {"type": "view_submission", "user": {"id": "U1"}, "view": {"callback_id": "other"}}) == ()
    )


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("interaction", {"type": "block_actions", "actions": [{}]}),
        ("interaction", {"type": "block_actions", "user": {"id": "U1"}, "actions": "x"}),
        ("interaction", {"type": "block_actions", "user": {"id": "U1"}, "actions": [1]}),
        ("interaction", {**SUBMITTED, "view": {"callback_id": OVERRIDE_FORM}}),
        ("interaction", {**SUBMITTED, "view": {"callback_id": OVERRIDE_FORM, "private_metadata": "[" * 3_000}}),
        ("command", {"text": "status"}),
    ],
)
def test_what_is_no_request_of_slack_is_refused(kind: str, payload: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        asked(kind, payload)


def test_the_reference_is_short_and_of_the_press() -> None:
    assert reference("0123456789abcdef0123456789abcdef") == "press 0123456789ab"


KEYS = st.sampled_from(["id", "action_id", "value", "view", "state", "values", "reason", "text"])
JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
for _ in range(3):  # as deep as a form's values lie
    JSON = JSON | st.lists(JSON, max_size=3) | st.dictionaries(KEYS, JSON, max_size=4)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["block_actions", "view_submission", "x"])},
        optional=dict.fromkeys(("user", "actions", "view", "container", "channel", "trigger_id"), JSON),
    )
)
def test_whatever_is_sent_is_read_or_refused(payload: dict[str, Any]) -> None:
    for kind in ("interaction", "command"):
        try:
            for found in asked(kind, payload):
                assert len(found.press_id) == 32
                json.dumps(found.payload)
        except RequestError:
            pass
