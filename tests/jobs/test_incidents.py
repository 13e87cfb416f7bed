"""Incidents as people and the machine live them: steps, one incident for one cause, what ends by itself, and the clock of a serious one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sql_event

from alerts.model import Alert, Status, fingerprint
from controlplane.core.model import RolloutState
from controlplane.core.policy import parse
from controlplane.core.rollout import Event
from controlplane.store.state import StateWriter
from controlplane.store.state_incidents import ActionItem
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, to_text
from jobs import (
    actions,
    evaluate,
    evidence_replay,
    incident_join,
    incident_serious,
    incident_view,
    incidents,
    pages,
    verify,
)
from jobs.after_learn import nothing
from jobs.cause import disagree
from jobs.deps import Deps
from jobs.incident_serious import ALERT
from jobs.refused import Refused
from tests.jobs.conftest import POLICY, START, FactsByHand, Minutes
from tests.jobs.test_evaluate import run_minutes

HOLDS = POLICY.replace('action = "rollback"', 'action = "hold"', 1).replace('action = "rollback"', 'action = "page"')


def only(deps: Deps) -> IncidentRow:
    (row,) = deps.state.incidents()
    return row


def rolled_back(deps: Deps, at: Minutes) -> str:
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "wrong answers", at(1))
    return only(deps).incident_id


def alerts_of(deps: Deps, incident_id: str) -> list[Alert]:
    return [Alert.from_dict(item.payload) for item in deps.state.incident_messages(incident_id)]


def firing(deps: Deps, incident_id: str) -> set[str]:
    """`alertname`s of the incident's alerts whose newest message is firing."""
    newest = {fingerprint(alert.labels): alert for alert in alerts_of(deps, incident_id)}
    return {alert.labels["alertname"] for alert in newest.values() if alert.status is Status.FIRING}


# --- what people do


def test_each_step_is_in_the_row_the_timeline_the_log_and_the_thread(deps: Deps, started: str, at: Minutes) -> None:
    key = rolled_back(deps, at)
    steps = [("acknowledge", "kim", ""), ("note", "kim", ""), ("own", "ana", "ben"), ("resolve", "ben", "")]
    for minute, (name, actor, owner) in enumerate([*steps, ("review", "cleo", "")], start=2):
        incidents.act(deps.state, key, name, actor, f"because of {name}", at(minute), owner=owner)
    row = only(deps)
    assert (row.state, row.owner) == ("reviewed", "ben")
    assert (row.acknowledged_at, row.resolved_at, row.reviewed_at) == (at(2), at(5), at(6))
    told = [(entry["event"], entry["actor"], entry["at"]) for entry in row.timeline[1:]]
    expected = ["acknowledge", "note", "own", "resolve", "review"]
    assert told == [
        (name, who, to_text(at(n)))
        for n, (name, who) in enumerate(zip(expected, ["kim", "kim", "ana", "ben", "cleo"], strict=True), start=2)
    ]
    logged = [(one["event"], one["actor"]) for one in deps.state.audit_about([key])]
    assert logged == [(f"incident_{name}", who) for name, who, _ in told]
    messages = deps.state.incident_messages(key)
    assert [item.kind for item in messages] == ["alert", *["step"] * 5]
    alerts = alerts_of(deps, key)
    assert [alert.step for alert in alerts[1:]] == [
        "kim acknowledged: because of acknowledge",
        "kim: because of note",
        "ana gave it to ben: because of own",
        "ben resolved it: because of resolve (the cut was never verified)",
        "cleo closed the review: because of review",
    ]
    assert len({fingerprint(alert.labels) for alert in alerts}) == 1  # one alert for its whole life
    assert [str(alert.status) for alert in alerts] == [*["firing"] * 4, *["resolved"] * 2]
    assert alerts[1].standing == {"state": "acknowledged", "owner": "kim", "acknowledged_at": at(2).isoformat()}
    assert alerts[-1].ends_at == at(5)
    assert deps.state.verify_chains()["audit"] is None


def test_saying_it_twice_changes_nothing_and_a_second_person_is_told_who_was_first(
    deps: Deps, started: str, at: Minutes
) -> None:
    key = rolled_back(deps, at)
    first = incidents.act(deps.state, key, "acknowledge", "kim", "on it", at(2))
    before = deps.state.export()
    assert incidents.act(deps.state, key, "acknowledge", "kim", "still on it", at(3)) == first
    assert incidents.act(deps.state, key, "own", "kim", "mine", at(3)) == first
    with pytest.raises(Refused, match="acknowledged by kim at 2026-01-05T09:02"):
        incidents.act(deps.state, key, "acknowledge", "ben", "me too", at(3))
    for name, why in (("review", "takes acknowledge, resolve|takes resolve"), ("dance", "nothing that a person does")):
        with pytest.raises(Refused, match=why):
            incidents.act(deps.state, key, name, "ben", "now", at(3))
    for name in ("clear", "recur", "contain"):  # what only the machine says
        with pytest.raises(Refused, match="nothing that a person does"):
            incidents.act(deps.state, key, name, "ben", "now", at(3))
    with pytest.raises(Refused, match="no incident 'i9'"):
        incidents.act(deps.state, "i9", "note", "ben", "now", at(3))
    assert deps.state.export() == before


def test_a_resolved_incident_has_no_owner_to_change_and_is_reopened_by_a_person(
    deps: Deps, started: str, at: Minutes
) -> None:
    key = rolled_back(deps, at)
    for name in ("acknowledge", "resolve"):
        incidents.act(deps.state, key, name, "kim", "done", at(2))
    with pytest.raises(Refused, match="reopen it first"):
        incidents.act(deps.state, key, "own", "ben", "late", at(3))
    row = incidents.act(deps.state, key, "reopen", "ben", "one region still fails", at(4))
    assert (row.state, row.acknowledged_at, row.resolved_at, row.owner) == ("open", None, None, "kim")
    assert incident_view.asked_since(row) == at(4)
    assert firing(deps, key) == {"rollback"}
    row = incidents.act(deps.state, key, "acknowledge", "ben", "on it", at(6))
    assert incident_view.times_of(row).to_acknowledge == 120.0
    verified = replace(row, verified_at=at(1) + timedelta(seconds=10))
    assert incident_view.times_of(verified).to_contain == 10.0, "what was contained before stays so"


def test_a_cause_that_acts_again_before_anybody_came_does_not_start_their_clock_anew(
    deps: Deps, started: str, at: Minutes
) -> None:
    rolled_back(deps, at)
    row = replace(only(deps), detected_at=at(0))
    recur = {"at": to_text(at(9)), "actor": "controlplane", "text": "hold again", "event": "recur"}
    assert incident_view.asked_since(replace(row, timeline=(*row.timeline, recur))) == at(0)
    seen = {"at": to_text(at(5)), "actor": "controlplane", "text": "cut verified", "event": "contain"}
    assert incident_view.asked_since(replace(row, timeline=(*row.timeline, seen, recur))) == at(9)


def test_personal_data_in_a_reason_reaches_neither_the_record_nor_people(deps: Deps, started: str, at: Minutes) -> None:
    key = rolled_back(deps, at)
    incidents.act(deps.state, key, "note", "kim", "jane.doe@example.com was refunded twice", at(2))
    incident_serious.mark(deps.state, deps.policy, key, "rights", "kim", "see jane.doe@example.com", at(2))
    disagree(deps.state, key, "model", "ana", "ask jane.doe@example.com", at(3))
    nothing(deps.state, key, "ana", "jane.doe@example.com was the only one", at(3))
    assert "jane.doe" not in str(deps.state.export())


@pytest.mark.parametrize("table", ["audit", "outbox", "incidents"])
def test_a_step_that_fails_half_way_leaves_nothing(deps: Deps, started: str, at: Minutes, table: str) -> None:
    key = rolled_back(deps, at)
    before = deps.state.export()

    def refuse(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith((f"INSERT INTO {table}", f"UPDATE {table}")):
            raise OSError("no space left on device")

    sql_event.listen(deps.state._write_engine, "before_cursor_execute", refuse)
    with pytest.raises(OSError, match="no space left"):
        incidents.act(deps.state, key, "acknowledge", "kim", "on it", at(2))
    sql_event.remove(deps.state._write_engine, "before_cursor_execute", refuse)
    assert deps.state.export() == before
    assert incidents.act(deps.state, key, "acknowledge", "kim", "on it", at(2)).state == "acknowledged"


def test_of_two_presses_at_once_one_acknowledges_and_both_notes_stay(deps: Deps, started: str, at: Minutes) -> None:
    key = rolled_back(deps, at)
    people, gate = ("kim", "ben"), threading.Barrier(2)
    refused: list[str] = []

    def press(name: str) -> None:
        state = StateWriter(deps.settings.state_url)
        gate.wait()
        try:
            incidents.act(state, key, "acknowledge", name, "on it", at(2))
        except Refused as error:
            refused.append(str(error))
        incidents.act(state, key, "note", name, "I look", at(3))
        state.close()

    threads = [threading.Thread(target=press, args=(name,)) for name in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = only(deps)
    (loser,) = set(people) - {row.owner}
    assert len(refused) == 1
    assert f"acknowledged by {row.owner}" in refused[0]
    assert sorted(entry["actor"] for entry in row.timeline if entry["event"] == "note") == sorted(people)
    assert loser not in [entry["actor"] for entry in row.timeline if entry["event"] == "acknowledge"]


# --- one incident for one cause


def stale(deps: Deps, facts: FactsByHand, moment: Callable[[int], Any], heard: int, now: int) -> None:
    facts.heard(moment(heard))
    evaluate.run(deps, moment(now))


def test_stale_data_is_one_incident_that_ends_by_itself_and_opens_again_when_it_comes_back_soon(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    stale(deps, facts, at, 0, 10)
    key = only(deps).incident_id
    assert (only(deps).state, only(deps).trigger) == ("open", "freshness")
    stale(deps, facts, at, 11, 11)
    row = only(deps)
    assert (row.state, row.resolved_at, row.owner) == ("resolved", at(11), "")
    assert firing(deps, key) == set()
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.state is RolloutState.RUNNING

    stale(deps, facts, at, 12, 40)  # 29 minutes after the resolution
    row = only(deps)
    assert (row.incident_id, row.state, row.resolved_at) == (key, "open", None)
    assert alerts_of(deps, key)[-1].step.startswith("came back 29 min after it was resolved: hold: ")
    assert firing(deps, key) == {"hold"}
    stale(deps, facts, at, 41, 41)
    stale(deps, facts, at, 42, 120)  # more than the policy's hour
    rows = deps.state.incidents()
    assert [(one.trigger, one.state) for one in rows] == [("freshness", "resolved"), ("freshness", "open")]
    events = [one["event"] for one in deps.state.audit_about([key])]
    assert events == ["incident_clear", "incident_recur", "incident_clear"]
    assert evidence_replay_is_whole(deps)


def evidence_replay_is_whole(deps: Deps) -> bool:
    return bool(evidence_replay.run(str(deps.home), None, facts=False, ledger=True)["ok"])


def test_a_trigger_that_acts_again_joins_its_open_incident_with_what_people_did_between(
    deps: Deps, facts: FactsByHand
) -> None:
    deps.policy = parse(HOLDS)
    release = actions.start_release(deps.state, deps.policy, "v1", {"model": "m1"}, "ben", "ana", START).rollout_id
    first = run_minutes(deps, facts, 0, 60, 0.5, 0.1, release)
    assert first is not None
    row = deps.state.incidents()[-1]
    assert (row.trigger, row.severity, row.cut_at) == ("escalation_increase", "warning", None)
    actions.act(deps.state, deps.policy, Event.RESUME, "ana", "looked fine", START + timedelta(minutes=first + 1))
    second = run_minutes(deps, facts, first + 1, first + 60, 0.6, 0.1, release)
    assert second is not None
    again = only(deps)  # blocks from before the resumption are void for the evidence, and no silence of the metric
    told = [entry["event"] for entry in again.timeline]
    assert told == ["onset", "hold", "resume", "recur"]
    alert = alerts_of(deps, row.incident_id)[-1]
    assert alert.readings[0].fired
    assert alert.labels["metric"] == "escalation_rate"
    acts = [one for one in deps.state.audit_rows() if one["event"] == "hold" and one["actor"] == "controlplane"]
    assert f'"incident":"{row.incident_id}"' in acts[-1]["payload"]
    assert evidence_replay_is_whole(deps)  # the cause of a decision that joined an incident is found again

    now = deps.state.rollout()
    assert now is not None
    resumed = [one for one in evaluate.stage_events(deps, now) if one.event == "resume"][-1]
    assert pages._has_incident(deps, now, row.trigger, resumed), "told by the recurrence: no page of its own beside it"

    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "enough", START + timedelta(minutes=second + 2))
    cut = deps.state.incident(row.incident_id)
    assert cut is not None
    assert (cut.incident_id, cut.severity, cut.state) == (row.incident_id, "critical", "open")
    assert cut.cut_at == START + timedelta(minutes=second + 2)
    assert firing(deps, row.incident_id) == {"rollback"}  # the hold that it was before is over
    last = alerts_of(deps, row.incident_id)[-1]
    assert any("held" in line for line in last.done) or any("held" in line for line in alert.done)


def test_a_person_who_rolls_back_answers_the_incident_that_is_named(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    stale(deps, facts, at, 0, 10)
    row = only(deps)
    other = replace(row, incident_id=f"{started}-other", trigger="csat_drop", detected_at=at(11))
    deps.state.commit(Commit(incident=other), at(11))
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "no", at(12), incident_id=row.incident_id)
    named, beside = deps.state.incident(row.incident_id), deps.state.incident(other.incident_id)
    assert named is not None
    assert beside is not None
    assert (named.cut_at, named.severity, named.trigger) == (at(12), "critical", "freshness")
    assert beside.cut_at is None
    assert beside.timeline[-1]["text"] == "rollback: no"
    assert len(deps.state.incidents()) == 2
    assert firing(deps, row.incident_id) == {"rollback"}
    stale(deps, facts, at, 13, 13)
    cut = deps.state.incident(row.incident_id)
    assert cut is not None
    assert cut.state == "open", "records that arrive again do not answer a rollback: a person resolves it"


def test_a_silent_metric_is_not_over_because_a_person_resumed_or_set_its_trigger_aside(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold's own list is empty then; what was asked for still has not come."""
    row = IncidentRow("quiet", started, "v1", "open", "warning", "held", "silent_metric", at(1))
    deps.state.commit(Commit(incident=row), at(1))
    for silent, state in ((("csat",), "open"), ((), "resolved")):
        monkeypatch.setattr(evaluate, "silent", lambda *_, found=silent, **__: found)
        stale(deps, facts, at, 2, 2)
        found = deps.state.incident("quiet")
        assert found is not None
        assert found.state == state


def test_stale_data_is_over_when_records_arrive_again_and_comes_back_to_the_same_incident_for_an_hour(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    stale(deps, facts, at, 0, 10)
    actions.act(deps.state, deps.policy, Event.DEPLOY, "ana", "new knowledge base", at(11))
    assert only(deps).timeline[-1]["event"] == "deploy"
    stale(deps, facts, at, 13, 13)
    row = only(deps)
    assert (row.state, row.trigger) == ("resolved", "freshness")
    found = incident_join.same_cause([row], "freshness", at(14), 60.0)
    assert found == row
    assert incident_join.same_cause([row], "freshness", at(14) + timedelta(hours=2), 60.0) is None
    assert incident_join.same_cause([replace(row, state="reviewed")], "freshness", at(14), 60.0) is None


def test_a_rollback_beside_another_incident_is_a_line_in_its_timeline(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    stale(deps, facts, at, 0, 10)
    actions.act(deps.state, deps.policy, Event.RESUME, "ana", "the producer is back", at(11))
    minute = run_minutes(deps, facts, 11, 60, 0.6, 0.1, started)
    assert minute is not None
    first, second = deps.state.incidents()
    assert (first.trigger, first.state) == ("freshness", "resolved")
    assert second.trigger == "escalation_increase"


# --- the alert of an incident


def test_what_was_done_adds_up_and_a_late_verification_keeps_what_people_said(
    deps: Deps, facts: FactsByHand, started: str, at: Minutes
) -> None:
    key = rolled_back(deps, at)
    incidents.act(deps.state, key, "acknowledge", "kim", "on it", at(2))
    facts.heard(at(5))
    done = verify.run(deps, at(5))
    assert done is not None
    assert done.verified
    row = only(deps)
    assert (row.state, row.owner, row.verified_at) == ("contained", "kim", at(5))
    alert = incidents.alert_of(deps.state, row, "look")
    assert alert.step == "look"
    assert alert.times.verified == at(5)
    assert alert.standing["state"] == "contained"
    assert len(alert.done) >= 2
    assert incident_view.times_of(row).to_contain == 240.0


# --- the view


def test_one_timeline_of_everything_that_is_on_record(deps: Deps, started: str, at: Minutes) -> None:
    key = rolled_back(deps, at)
    incidents.act(deps.state, key, "acknowledge", "kim", "on it", at(2))
    item = ActionItem(f"{key}-a1", key, "guardrail", "check the index", "ben", "kim", at(3))
    deps.state.add_action_item(item)
    beside = AuditEntry("ana", "override_added", started, "known")
    deps.state.commit(Commit(audit=(beside,)), at(4))
    value = incident_view.shown(deps.state, key[:-1], at(5))
    texts = [entry["text"] for entry in value["timeline"]]
    assert texts == [
        "rollback: wrong answers",
        "acknowledge: on it",
        "action opened: check the index",
        "override added: known",
    ]
    assert [entry["at"] for entry in value["timeline"]] == sorted(entry["at"] for entry in value["timeline"])
    assert value["times"]["to_acknowledge"] == 60.0
    text = incident_view.text(value)
    assert "acknowledged, critical; owned by kim" in text
    assert "to do (guardrail, ben): check the index" in text
    assert "to contain: not yet" in text
    assert incident_view.listed(deps.state, at(5), only_open=True)[0]["report"] == "none"
    with pytest.raises(Refused, match="no incident 'i9'"):
        incident_view.shown(deps.state, "i9", at(5))


# --- serious incidents


def test_a_serious_incident_is_reminded_paged_and_reported_each_once(deps: Deps, started: str, at: Minutes) -> None:
    key = rolled_back(deps, at)
    row = incident_serious.mark(deps.state, deps.policy, key, "rights", "ana", "refunds by origin", at(3), at(1))
    assert row.serious["due_at"] == to_text(at(1) + timedelta(days=15))
    assert alerts_of(deps, key)[-1].standing["due"] == (at(1) + timedelta(days=15)).isoformat()
    assert incident_serious.mark(deps.state, deps.policy, key, "rights", "ana", "again", at(4), at(2)) == row
    incidents.act(deps.state, key, "acknowledge", "kim", "on it", at(4))
    incidents.act(deps.state, key, "resolve", "kim", "fixed", at(5))  # the clock does not stop for that
    told = [incident_serious.run(deps, at(1) + timedelta(days=days)) for days in (1, 7.4, 7.6, 8, 14.9, 15, 16)]
    assert told == [0, 0, 1, 0, 0, 1, 0]
    assert firing(deps, key) == {ALERT}
    told = [alert for alert in alerts_of(deps, key) if alert.labels["alertname"] == ALERT]
    assert [str(page.severity) for page in told] == ["warning", "critical"]
    late = at(1) + timedelta(days=16)
    row = incident_serious.reported(deps.state, key, "MSA-17", "ana", late)
    assert (row.serious["reported_at"], row.serious["reference"]) == (to_text(late), "MSA-17")
    assert "(late)" in row.timeline[-1]["text"]
    assert firing(deps, key) == set()
    assert incident_serious.run(deps, late + timedelta(days=1)) == 0
    for again in (
        lambda: incident_serious.reported(deps.state, key, "MSA-18", "ana", late),
        lambda: incident_serious.mark(deps.state, deps.policy, key, "death", "ana", "worse", late),
        lambda: incident_serious.withdraw(deps.state, key, "ana", "no", late),
    ):
        with pytest.raises(Refused, match="reported"):
            again()


def test_a_graver_kind_shortens_the_time_and_a_withdrawal_ends_it(deps: Deps, started: str, at: Minutes) -> None:
    key = rolled_back(deps, at)
    with pytest.raises(Refused, match="nobody has called incident"):
        incident_serious.reported(deps.state, key, "MSA-17", "ana", at(2))
    with pytest.raises(Refused, match="no kind of serious incident: death, health"):
        incident_serious.mark(deps.state, deps.policy, key, "bad", "ana", "x", at(2))
    with pytest.raises(Refused, match="give a time that has passed"):
        incident_serious.mark(deps.state, deps.policy, key, "rights", "ana", "x", at(2), at(3))
    incident_serious.mark(deps.state, deps.policy, key, "property", "ana", "x", at(2))
    row = incident_serious.mark(deps.state, deps.policy, key, "infrastructure", "ana", "worse", at(3))
    assert row.serious["due_at"] == to_text(at(2) + timedelta(days=2))  # aware since the first word
    assert incident_serious.run(deps, at(2) + timedelta(days=3)) == 1
    row = incident_serious.withdraw(deps.state, key, "ana", "a test account", at(3) + timedelta(days=3))
    assert row.serious == {}
    assert ALERT not in firing(deps, key)
    assert incident_serious.run(deps, at(2) + timedelta(days=30)) == 0
    assert deps.state.serious_incidents() == []
