"""The Slack desk with real stores and a small Slack: roles, repeats, two at once, and a crash between any two steps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alerts.buttons import Press
from alerts.config import shipped
from alerts.people import Person
from controlplane.core.model import RolloutState
from controlplane.core.roles import Role
from controlplane.core.rollout import Event
from controlplane.store.state_claims import FencedOff
from jobs import actions
from jobs.deps import Deps
from jobs.slack_answer import Answers
from jobs.slack_work import Desk
from tests.jobs.conftest import START
from tests.jobs.slack_fake import BOT_TOKEN, CHANNEL, FakeSlack, button, command, eventually, form

PEOPLE = (
    Person("Kim", Role.OPERATOR, "U0KIM"),
    Person("Lee", Role.OPERATOR, "U0LEE"),
    Person("Ana", Role.APPROVER, "U0ANA"),
    Person("Vic", Role.VIEWER, "U0VIC"),
)
LATER = START + timedelta(minutes=1)


class Desks:
    """Makes desks of one workspace, one after the other as processes would be."""

    def __init__(self, deps: Deps, slack: FakeSlack, rollout: str) -> None:
        self.deps, self.slack, self.rollout = deps, slack, rollout
        self.now = LATER
        self.desk = self.restarted()

    def restarted(self) -> Desk:
        self.desk = Desk(self.deps, Answers(BOT_TOKEN, self.slack.base, CHANNEL), lambda: self.now)
        return self.desk

    def press(self, action: Press | str, user: str = "U0KIM", **more: Any) -> dict[str, Any]:
        made = button(action, user, rollout=self.rollout, **more)
        assert self.desk.take("interaction", made) == {}
        return made

    def say(self, text: str, user: str = "U0KIM") -> str:
        """The answer to a slash command."""
        self.desk.take("command", command(text, user, self.slack.response_url))
        self.desk.run()
        return self.slack.answers()[-1]

    def told(self) -> str:
        self.desk.run()
        return self.slack.answers()[-1]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [row for row in self.deps.state.audit_rows() if row["event"] == event]

    @property
    def running(self) -> RolloutState:
        found = self.deps.state.rollout()
        assert found is not None
        return found.state


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


@pytest.fixture
def slack(fake: FakeSlack) -> FakeSlack:
    fake.calls.clear()
    fake.fail.clear()
    return fake


@pytest.fixture
def desks(deps: Deps, slack: FakeSlack, started: str) -> Desks:
    deps.alerting = replace(shipped(), people=PEOPLE)
    return Desks(deps, slack, started)


@pytest.fixture
def incident(desks: Desks) -> str:
    """An open incident: a person has rolled back."""
    deps = desks.deps
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ops", "planted", START)
    (row,) = deps.state.incidents()
    return row.incident_id


def test_acknowledging_makes_it_yours_and_is_on_the_record(desks: Desks, incident: str) -> None:
    desks.press(Press.ACKNOWLEDGE, incident=incident)
    (kept,) = desks.deps.state.open_presses()
    assert desks.deps.state.incident(incident).owner == ""  # type: ignore[union-attr]
    assert desks.slack.calls == []
    assert desks.desk.run() == 1
    row = desks.deps.state.incident(incident)
    assert row is not None
    assert (row.owner, row.acknowledged_at) == ("Kim", LATER)
    (sent,) = desks.slack.asked("chat.postEphemeral")
    assert (sent["user"], sent["channel"]) == ("U0KIM", CHANNEL)
    assert "is yours" in sent["text"]
    (audited,) = desks.events("slack_press")
    assert (audited["actor"], audited["subject"]) == ("Kim", incident)
    assert f"press {kept.press_id[:12]}" in desks.events("incident_acknowledge")[0]["reason"]
    assert desks.deps.state.press(kept.press_id).status == "done"  # type: ignore[union-attr]
    assert desks.desk.run() == 0


@pytest.mark.parametrize(
    ("action", "user", "role"),
    [
        (Press.ACKNOWLEDGE, "U0VIC", "operator or approver or admin"),
        (Press.HOLD, "U0VIC", "operator or approver or admin"),
        (Press.ROLLBACK, "U0VIC", "operator or approver or admin"),
        (Press.OVERRIDE, "U0KIM", "approver or admin"),
        (Press.HOLD, "U0NOBODY", "not in the table of people"),
        (Press.OVERRIDE, "U0NOBODY", "not in the table of people"),
        ("delete_everything", "U0ANA", "none of ours"),
    ],
)
def test_without_the_role_it_is_refused_politely_and_audited(desks: Desks, action: str, user: str, role: str) -> None:
    before = desks.deps.state.rollout()
    desks.press(action, user, incident="i1", trigger="csat_drop")
    told = desks.told()
    assert role in told
    assert "othing was done" in told
    assert desks.deps.state.rollout() == before
    assert desks.slack.asked("views.open") == []
    (audited,) = desks.events("slack_press")
    assert "refused" in audited["reason"]
    known = {person.slack: person.name for person in PEOPLE}
    assert audited["actor"] == known.get(user, f"slack:{user}")
    assert (user in str(audited)) is (user not in known)  # who has a name is on the record by the name alone


def test_without_a_table_of_people_nobody_acts(desks: Desks) -> None:
    desks.deps.alerting = None
    desks.press(Press.ROLLBACK)
    assert "not in the table of people" in desks.told()
    assert desks.running is RolloutState.RUNNING


def test_holding_and_rolling_back(desks: Desks) -> None:
    desks.press(Press.HOLD)
    assert desks.told() == "done: the ramp is held"
    assert desks.running is RolloutState.HELD
    desks.press(Press.HOLD, "U0LEE")
    assert "held already, since 09:01 UTC: in Slack" in desks.told()
    desks.press(Press.ROLLBACK)
    assert "rolled back" in desks.told()
    assert desks.running is RolloutState.ROLLED_BACK
    (row,) = desks.deps.state.incidents()
    assert desks.events("rollback")[0]["actor"] == "Kim"
    assert row.trigger == "person"


def test_a_replayed_request_is_taken_once(desks: Desks) -> None:
    made = desks.press(Press.HOLD)
    desks.desk.take("interaction", made)
    assert desks.desk.run() == 1
    actions.act(desks.deps.state, desks.deps.policy, Event.RESUME, "Ana", "fine", LATER)
    desks.desk.take("interaction", {**made, "response_url": desks.slack.response_url}, "socket")
    desks.restarted().take("interaction", made)
    assert desks.desk.run() == 0
    assert desks.running is RolloutState.RUNNING
    assert len(desks.events("slack_press")) == len(desks.slack.answers()) == 1


def test_two_presses_at_once_are_a_first_and_a_second(desks: Desks, incident: str) -> None:
    gate, desk = threading.Barrier(2), desks.desk

    def taken(user: str) -> None:
        gate.wait()
        desk.take("interaction", button(Press.ACKNOWLEDGE, user, incident, desks.rollout))

    threads = [threading.Thread(target=taken, args=(user,)) for user in ("U0KIM", "U0LEE")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.run() == 2
    first, second = desks.slack.answers()
    owner = desks.deps.state.incident(incident).owner  # type: ignore[union-attr]
    assert owner in ("Kim", "Lee")
    assert f"thank you, {owner}" in first
    assert f"acknowledged by {owner}" in second
    assert len(desks.events("incident_acknowledge")) == 1
    assert len(desks.events("slack_press")) == 2


def test_two_who_roll_back_at_once_roll_back_once(desks: Desks) -> None:
    desks.press(Press.ROLLBACK, "U0KIM")
    desks.press(Press.ROLLBACK, "U0LEE")
    assert desks.desk.run() == 2
    assert len(desks.events("rollback")) == len(desks.deps.state.incidents()) == 1
    assert [("refused" in row["reason"]) for row in desks.events("slack_press")] == [False, True]
    assert "rolled back already, since 09:01 UTC" in desks.slack.answers()[1]


def test_the_same_press_by_both_ways_at_once_is_one(desks: Desks) -> None:
    made, gate = button(Press.HOLD, "U0KIM", rollout=desks.rollout), threading.Barrier(4)

    def taken(channel: str) -> None:
        gate.wait()
        desks.desk.take("interaction", made, channel)

    threads = [threading.Thread(target=taken, args=(way,)) for way in ("http", "socket") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(desks.deps.state.open_presses()) == 1
    assert desks.desk.run() == 1


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(
    ("action", "step"),
    [
        *((Press.ROLLBACK, step) for step in ("received", "acted", "told")),
        *((action, "acted") for action in (Press.ACKNOWLEDGE, Press.HOLD, "silence", "form")),
    ],
)
def test_killed_between_two_steps_the_next_process_does_it_once(
    desks: Desks, monkeypatch: pytest.MonkeyPatch, action: str, step: str
) -> None:
    state, now_events = desks.deps.state, {"silence": "silence_added", "form": "override_added", Press.HOLD: "hold"}
    if action == Press.ACKNOWLEDGE:
        actions.act(state, desks.deps.policy, Event.ROLLBACK, "ops", "planted", START)
    found = [row.incident_id for row in state.incidents()]
    _ask(desks, action, found[0] if found else "")
    desks.slack.calls.clear()

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "received":
            patch.setattr("jobs.slack_work.carry_out", killed)
        if step == "acted":
            patch.setattr(Answers, "tell", killed)
        if step == "told":
            patch.setattr(state, "finish_press", killed)
        with pytest.raises(Killed):
            desks.desk.run()
    audited = {Press.ACKNOWLEDGE: "incident_acknowledge", Press.ROLLBACK: "rollback"} | now_events
    mine = "press" if action != Press.ACKNOWLEDGE or step != "received" else ""
    assert len([row for row in desks.events(audited[action]) if mine in row["reason"]]) == (step != "received")
    desks.now += timedelta(
        minutes=14 if step == "received" else 600
    )  # what was done before is done, however late it is found
    assert desks.restarted().run() == 1
    assert len([row for row in desks.events(audited[action]) if "press" in row["reason"]]) == 1
    assert state.open_presses() == []
    (press,) = [row for row in desks.events("slack_press") if "refused" not in row["reason"]][-1:]
    assert press["actor"] in ("Kim", "Ana")
    assert desks.slack.answers()[-1].startswith(("done", "thank you"))
    assert all(found is None for found in state.verify_chains().values())


def _ask(desks: Desks, action: str, incident: str) -> None:
    if action == "silence":
        desks.desk.take("command", command("silence metric=csat 2h known outage", "U0KIM"))
    elif action == "form":
        desks.press(Press.OVERRIDE, "U0ANA", trigger="csat_drop")
        desks.desk.run()
        desks.desk.take("interaction", form(desks.slack.asked("views.open")[-1]["view"], "U0ANA", "known fault"))
    else:
        desks.press(action, incident=incident)


def test_an_override_asks_why_and_then_sets_the_trigger_aside(desks: Desks, slack: FakeSlack) -> None:
    desks.press(Press.OVERRIDE, "U0ANA", trigger="csat_drop", trigger_id="t-77")
    assert desks.desk.run() == 1
    (asked,) = slack.asked("views.open")
    assert asked["trigger_id"] == "t-77"
    assert BOT_TOKEN in asked["token"]
    assert desks.deps.state.overrides() == []
    sent = form(asked["view"], "U0ANA", "known fault in the survey, ticket 81")
    assert desks.desk.take("interaction", form(asked["view"], "U0ANA", " ")) != {}
    assert desks.desk.take("interaction", sent) == {}
    assert "set aside for 24 h" in desks.told()
    (found,) = desks.deps.state.overrides()
    assert (found.trigger, found.actor, found.until - found.started_at) == ("csat_drop", "Ana", timedelta(hours=24))
    assert "ticket 81" in found.reason
    desks.desk.take("interaction", {**sent, "view": sent["view"] | {"id": "V-other"}})
    assert "overridden until" in desks.told()
    assert len(desks.deps.state.overrides()) == 1


def test_a_form_of_somebody_without_the_role_is_refused_too(desks: Desks, slack: FakeSlack) -> None:
    """Who opened it may; who sends it off is asked again."""
    desks.press(Press.OVERRIDE, "U0ANA", trigger="csat_drop")
    desks.desk.run()
    desks.desk.take("interaction", form(slack.asked("views.open")[0]["view"], "U0KIM", "known fault"))
    assert "approver or admin" in desks.told()
    assert desks.deps.state.overrides() == []


def test_a_form_that_cannot_be_opened_is_told(desks: Desks, slack: FakeSlack) -> None:
    slack.fail["views.open"] = [(200, {"ok": False, "error": "expired_trigger_id"}, {})]
    desks.press(Press.OVERRIDE, "U0ANA", trigger="csat_drop")
    assert "press Override again" in desks.told()


def test_an_override_that_cannot_be_is_told_before_the_form(desks: Desks, slack: FakeSlack) -> None:
    desks.press(Press.OVERRIDE, "U0ANA", trigger="unknown")
    assert "has no trigger 'unknown'" in desks.told()
    desks.press(Press.ROLLBACK)
    assert "rolled back" in desks.told()
    desks.press(Press.OVERRIDE, "U0ANA", trigger="csat_drop")
    assert "nothing left to set aside" in desks.told()
    assert slack.asked("views.open") == []


def test_a_press_for_an_earlier_rollout_does_nothing(desks: Desks) -> None:
    deps = desks.deps
    old = button(Press.HOLD, "U0KIM", rollout="v0-1234")
    for made in (
        old,
        button(Press.ROLLBACK, "U0KIM", rollout="v0-1234"),
        button(Press.OVERRIDE, "U0ANA", "", "v0-1234", "csat_drop"),
    ):
        desks.desk.take("interaction", made)
        assert "v0-1234" in desks.told()
    assert desks.running is RolloutState.RUNNING
    assert deps.state.overrides() == []


def test_a_command_is_for_the_release_that_ran_when_it_was_given(desks: Desks) -> None:
    """Given, not done because the process died, and another release runs when the next process looks."""
    deps = desks.deps
    desks.desk.take("command", command("rollback it looks bad", "U0KIM"))
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ops", "by hand", START)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.actions.missing_aftermath", lambda *_: None)
        patch.setattr("jobs.actions._need_place", lambda *_: None)
        desks.now += timedelta(hours=5)
        actions.start_release(deps.state, deps.policy, "v2", {"model": "m2"}, "ben", "ana", desks.now)
    assert desks.restarted().run() == 1
    assert desks.running is RolloutState.RUNNING
    assert "look again" in desks.slack.answers()[-1]


def test_what_makes_less_safe_is_not_done_late(desks: Desks) -> None:
    desks.desk.take("command", command("silence metric=csat 2h known outage", "U0KIM"))
    desks.press(Press.HOLD)
    desks.now += timedelta(hours=2)
    assert desks.desk.run() == 2
    assert desks.deps.state.silences() == []
    assert desks.running is RolloutState.HELD
    assert any("press again" in told for told in desks.slack.answers())


def test_commands(desks: Desks, incident: str) -> None:
    status = desks.say("status", "U0VIC")
    assert "v1: rolled back in ramp at 0%, since 2026-01-05 09:00 UTC" in status
    assert f"{incident}: open, nobody has it" in status
    assert "/controlplane rollback WHY" in desks.say("help", "U0NOBODY")
    assert "/controlplane rollback WHY" in desks.say("", "U0NOBODY")
    assert "is no command: status, silence, hold, rollback, help" in desks.say("promote")
    assert "not in the table" in desks.say("status", "U0NOBODY")


def test_holding_and_rolling_back_by_command_take_the_reason_along(desks: Desks) -> None:
    assert desks.say("hold latency looks odd") == "done: the ramp is held"
    assert "latency looks odd" in desks.events("hold")[0]["reason"]
    assert "operator" in desks.say("rollback worse", "U0VIC")
    assert desks.running is RolloutState.HELD
    assert "rolled back" in desks.say("rollback it is worse")
    assert desks.running is RolloutState.ROLLED_BACK


def test_silences_by_command(desks: Desks) -> None:
    assert "metric=csat,latency" in desks.say("silence metric=csat,latency 30m survey is down")
    (row,) = desks.deps.state.silences()
    assert (row.author, row.expires_at - row.starts_at) == ("Kim", timedelta(minutes=30))
    assert row.matchers == {"metric": ("csat", "latency")}
    assert "survey is down" in desks.say("status", "U0VIC")
    for wrong, why in (
        ("", "which alerts"),
        ("2h why", "which alerts"),
        ("metric=csat", "for how long"),
        ("metric=csat soon why", "for how long"),
        ("metric=csat 0h why", "for how long"),
        ("metric=csat 2h", "why?"),
        ("metric= 2h why", "no label"),
        ("metric=csat 99d why", "at most"),
        ("safety=confirmed 2h why", "cannot be silenced"),
    ):
        assert why in desks.say(f"silence {wrong}")
    assert len(desks.deps.state.silences()) == 1


def test_without_a_rollout_commands_say_so(deps: Deps, slack: FakeSlack) -> None:
    deps.alerting = replace(shipped(), people=PEOPLE)
    desks = Desks(deps, slack, "")
    assert "no release yet" in desks.say("status")
    assert "there is no rollout yet" in desks.say("hold now")


def test_opening_the_evidence_is_recorded_and_not_answered(desks: Desks) -> None:
    desks.press(Press.EVIDENCE, "U0NOBODY")
    assert desks.desk.run() == 1
    assert desks.slack.answers() == []
    assert len(desks.events("slack_press")) == 1


def test_a_failure_is_tried_again_and_at_last_told(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk")

    monkeypatch.setattr("jobs.slack_work.carry_out", broken)
    desks.press(Press.HOLD)
    assert [desks.desk.run() for _ in range(4)] == [0, 0, 0, 0]
    assert desks.desk.run() == 1
    assert "could not be done (OSError)" in desks.slack.answers()[-1]
    assert [row["actor"] for row in desks.events("slack_press")] == ["Kim"]
    assert "U0KIM" not in str(desks.deps.state.audit_rows())


def test_an_outage_of_slack_does_not_keep_it_from_being_done(desks: Desks, slack: FakeSlack) -> None:
    slack.fail["chat.postEphemeral"] = [(500, {}, {})]
    desks.press(Press.HOLD)
    assert desks.desk.run() == 1
    assert desks.running is RolloutState.HELD


def test_the_thread_works_until_it_is_stopped(desks: Desks) -> None:
    desks.desk.start(lambda: None)
    desks.press(Press.HOLD)
    eventually(lambda: desks.running is RolloutState.HELD)
    desks.desk.stop()
    desks.desk.stop()
    desks.press(Press.ROLLBACK)
    assert len(desks.deps.state.open_presses()) == 1


def test_when_another_process_writes_it_ends_and_says_so(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    def fenced(*_: object) -> None:
        raise FencedOff("taken over")

    monkeypatch.setattr("jobs.slack_work.carry_out", fenced)
    ended = threading.Event()
    desks.press(Press.HOLD)
    desks.desk.start(ended.set)
    assert ended.wait(10)
    desks.desk.stop()
    assert len(desks.deps.state.open_presses()) == 1
