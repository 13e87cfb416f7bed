"""What the Incidents page asks: people's acts go the way of the command line, in the name of who asks, and are refused alike."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.core.roles import Permission
from controlplane.core.rollout import Event
from controlplane.settings import SettingsError
from controlplane.store.state_rows import from_text
from jobs import actions, asking
from jobs import ask_incidents as ask
from jobs.asking import ASKS, _ready
from jobs.deps import Deps
from jobs.refused import Refused
from tests.jobs.conftest import Minutes

MINE = [name for name, one in ASKS.items() if one.function.startswith("jobs.ask_incidents:")]


@pytest.fixture
def key(deps: Deps, started: str, at: Minutes) -> str:
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "wrong answers", at(1))
    (row,) = deps.state.incidents()
    return row.incident_id


def test_every_ask_is_there_and_what_changes_anything_is_signed() -> None:
    assert len(MINE) == 10
    for name in MINE:
        assert callable(asking._function(ASKS[name].function))
        acts = ASKS[name].permission is Permission.RESPOND
        assert ASKS[name].signed == acts


def test_an_incident_from_acknowledgement_to_review(deps: Deps, key: str, at: Minutes) -> None:
    def act(event: str, minute: int, actor: str = "kim") -> Any:
        return ask.act(deps, at(minute), key, event, f"because of {event}", actor)

    assert act("acknowledge", 2) == {"incident": key, "state": "acknowledged", "owner": "kim"}
    assert act("own", 3, "ben")["owner"] == "ben"
    assert act("note", 4)["state"] == "acknowledged"
    with pytest.raises(Refused, match="review"):
        act("review", 5)
    assert act("resolve", 6)["state"] == "resolved"
    assert act("review", 7)["state"] == "reviewed"
    assert act("reopen", 8)["state"] == "open"
    told = _ready(ask.show(deps, at(9), key))
    assert [line["event"] for line in told["timeline"] if line["actor"] in ("kim", "ben")] == [
        "acknowledge", "own", "note", "resolve", "review", "reopen",
    ]  # fmt: skip
    written = [row for row in deps.state.audit_rows() if row["subject"] == key and row["actor"] in ("kim", "ben")]
    assert [row["reason"] for row in written] == [
        f"because of {event}" for event in ("acknowledge", "own", "note", "resolve", "review", "reopen")
    ]
    with pytest.raises(Refused, match="no incident"):
        ask.act(deps, at(9), "nowhere", "note", "x", "kim")


def test_an_action_is_due_at_the_end_of_its_day_and_closed_with_what_shows_it(
    deps: Deps, key: str, at: Minutes
) -> None:
    day = at(60 * 48)
    made = ask.add_action(deps, at(2), key, "knowledge", "Check every import", "sam", f"{day:%Y-%m-%d}", "kim")
    (item,) = deps.state.action_items(key)
    assert item.due_at is not None
    assert (item.action_id, item.owner, item.opened_by) == (made["action"], "sam", "kim")
    assert (item.due_at - day).total_seconds() > 0
    assert item.due_at.hour == item.due_at.minute == 0
    assert ask.close_action(deps, at(3), item.action_id, "done", "evaluation ev-1", "sam")["outcome"] == "done"
    with pytest.raises(Refused, match="done already"):
        ask.close_action(deps, at(4), item.action_id, "dropped", "again", "sam")
    with pytest.raises(SettingsError, match="YYYY-MM-DD"):
        ask.add_action(deps, at(4), key, "other", "x", "sam", "tomorrow", "kim")
    with pytest.raises(Refused, match="has passed"):
        ask.add_action(deps, at(4), key, "other", "x", "sam", "2020-01-01", "kim")
    assert ask.add_action(deps, at(5), key, "other", "No day is set", "sam", None, "kim")["incident"] == key


def test_the_clock_of_a_serious_incident(deps: Deps, key: str, at: Minutes) -> None:
    marked = _ready(ask.serious(deps, at(2), key, "health", "a customer was hurt", "kim"))["serious"]
    assert from_text(marked["since"]) == at(2)
    assert from_text(marked["due_at"]) > at(60 * 24)
    assert ask.not_serious(deps, at(3), key, "it was somebody else", "kim")["serious"] == {}
    ask.serious(deps, at(4), key, "rights", "discrimination", "kim")
    assert _ready(ask.reported(deps, at(5), key, "case 17", "kim"))["serious"]["reference"] == "case 17"
    with pytest.raises(Refused, match="was reported"):
        ask.reported(deps, at(6), key, "case 18", "kim")


def test_somebody_sees_the_cause_otherwise(deps: Deps, key: str, at: Minutes) -> None:
    said = _ready(ask.disagree(deps, at(2), key, "traffic", "a campaign began", "kim", "model"))
    assert (said["cause"], said["actor"], said["ranked_first"]) == ("traffic", "kim", "model")
    assert ask.causes(deps, at(30), key)["disagreements"][0]["cause"] == "traffic"
    with pytest.raises(SettingsError, match="no kind of cause"):
        ask.disagree(deps, at(2), key, "weather", "rain", "kim", "")


def test_the_report_is_written_and_its_paths_are_of_the_workspace(deps: Deps, key: str, at: Minutes) -> None:
    made = _ready(ask.report(deps, at(5), key, "kim"))
    for name in ("html", "markdown"):
        assert (deps.home / made[name]).is_file()
        assert not made[name].startswith("/")
    assert made["incident"] == key
    assert made["state"] == "open"
