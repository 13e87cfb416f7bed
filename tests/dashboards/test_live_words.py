"""What the Live page opens with, in every situation that on-call may find, and the words of triggers, acts and pictures."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.core.model import RolloutState
from controlplane.core.roles import Permission
from controlplane.store.snapshot import SnapshotReader
from dashboards import acting, control, data
from dashboards.live import acts as live_acts
from dashboards.live import spark as live_spark
from dashboards.live import words as live_words
from dashboards.live.data import labels
from dashboards.live.spark import Trace, picture
from dashboards.live.values import Queue, Quiet
from dashboards.theme import DARK, LIGHT
from dashboards.values import Log, State

CALM = Queue(0, None, 0, "")


def state_of(home: Path) -> State:
    ref = SnapshotReader(home / "snapshots").current()
    return data.state(str(ref.path), ref.key)


@pytest.fixture
def healthy(healthy_home: Path) -> State:
    return state_of(healthy_home)


@pytest.fixture
def troubled(incident_home: Path) -> State:
    return state_of(incident_home)


def test_all_is_well_in_one_sentence(healthy: State) -> None:
    found = live_words.hero(healthy, CALM)
    assert (found.headline, found.tone) == ("Serving 20 % on v1.4.0; nothing is firing; data is 7 s old.", "good")
    assert found.sentence.startswith("Closest to firing: ")
    assert found.sentence.endswith("of its threshold.")


def test_a_silent_control_process_outranks_everything(healthy: State, troubled: State) -> None:
    for state in (healthy, troubled):
        found = live_words.hero(state, CALM, timedelta(minutes=5))
        assert found.headline == "Nobody is watching: the control process has been silent for 5 min."
        assert found.tone == "bad"
    said = live_words.hero(healthy, CALM, timedelta(days=1)).sentence
    assert said.startswith(f"Last known at {healthy.meta.now:%H:%M} UTC: serving 20 % on v1.4.0.")


def test_a_rollback_says_whether_customers_are_safe(troubled: State) -> None:
    found = live_words.hero(troubled, CALM)
    assert found.headline == "Rolled back: everyone is on the baseline, cut verified after 9 s."
    assert "because of hallucination breach. Its incident waits for a person, see below." in found.sentence
    unverified = live_words.hero(replace(troubled, cut_verified_at=None), CALM)
    assert "but the cut is NOT verified yet" in unverified.headline
    rollout = replace(troubled.rollout, updated_at=troubled.meta.now, reason="a topic was taken away")
    assert (
        live_words.hero(replace(troubled, rollout=rollout), CALM) == found
    )  # what is done later does not move the cut
    by_hand = replace(troubled.incidents[-1], title="v1.4.0 rolled back by ana")
    said = live_words.hero(replace(troubled, incidents=(by_hand,)), CALM).sentence
    assert "because of v1.4.0 rolled back" not in said
    over = live_words.hero(replace(troubled, incidents=()), CALM)
    assert "`controlplane release start`" in over.sentence


def test_stale_data_is_said_before_what_fires(healthy: State) -> None:
    old = healthy.meta.now - timedelta(hours=2)
    rollout = replace(healthy.rollout, stage_started_at=old)
    stale = replace(healthy, rollout=rollout, meta=replace(healthy.meta, watermark=old, slowest=old))
    found = live_words.hero(stale, CALM)
    assert (found.headline, found.tone) == ("Data is stale: nothing new for 2 h.", "bad")
    assert "limit 15 min" in found.sentence


def test_what_fires_is_named_and_asks_for_a_decision(healthy: State) -> None:
    lanes = (*healthy.lanes, (healthy.rollout.rollout_id, {"fired": ["trigger:timeouts|all", "trigger:csat_drop|all"]}))
    firing = replace(healthy, lanes=lanes)
    found = live_words.hero(firing, CALM)
    assert (found.headline, found.tone) == ("CSAT drop and Timeouts are firing; serving 20 % on v1.4.0.", "bad")
    held = replace(
        firing, rollout=replace(firing.rollout, state=RolloutState.HELD, reason="trigger csat_drop: csat fell")
    )
    found = live_words.hero(held, CALM)
    assert found.headline == "CSAT drop and Timeouts are firing; the ramp is held at 20 % on v1.4.0."
    assert found.sentence.startswith("Trigger CSAT drop: csat fell. Decide below")


def test_a_hold_without_a_fire_waits_for_a_person(healthy: State) -> None:
    held = replace(
        healthy, rollout=replace(healthy.rollout, state=RolloutState.HELD, reason="a check of the help desk (ana)")
    )
    found = live_words.hero(held, CALM)
    assert (found.headline, found.tone) == ("Held: serving 20 % on v1.4.0.", "wait")
    assert "A check of the help desk (ana). Nothing grows before a person goes on" in found.sentence
    rows = [Log(held.meta.now, who, event, held.rollout.rollout_id, reason) for who, event, reason in (
        ("kim", "disable_execution", "to be safe"), ("ana", "hold", "the survey is odd"), ("bo", "hold", "long over"))]  # fmt: skip
    later = replace(held, log=tuple(rows), rollout=replace(held.rollout, reason="to be safe (kim)"))
    assert live_words.hero(later, CALM).sentence.startswith("The survey is odd (ana). Nothing grows")


def test_what_is_not_as_usual_is_never_all_green(healthy: State) -> None:
    rollout = replace(healthy.rollout, execution_enabled=False, contained=("fraud",))
    found = live_words.hero(replace(healthy, rollout=rollout), Queue(3, None, 2, "refused"))
    assert found.tone == "wait"
    assert "Workflows are switched off. Sent to people: fraud. 2 messages could not be delivered." in found.sentence
    assert live_words.hero(healthy, Queue(0, None, 1, "")).tone == "wait"


def test_nothing_at_all_says_what_to_do(healthy: State) -> None:
    nothing = replace(healthy, rollout=None, meta=replace(healthy.meta, slowest=None))
    found = live_words.hero(nothing, CALM)
    assert (found.headline, found.tone) == (
        "No release is being rolled out; everyone is served by the baseline.",
        "quiet",
    )
    assert "no data has come in yet. `controlplane release start`" in found.sentence
    blank = replace(healthy, triggers=healthy.triggers.clear())
    assert live_words.hero(blank, CALM).sentence == "No trigger has judged anything yet."


def test_every_trigger_says_what_it_looks_for_and_does(healthy: State) -> None:
    said = {one.name: live_words.rule(healthy.policy, one.name, "menu") for one in healthy.policy.triggers}
    assert said["hallucination_breach"] == "Hallucination frequency over 5.0 % rolls back"
    assert said["escalation_increase"] == "Escalation rate more than 4 points above the menu rolls back"
    assert said["csat_drop"] == "CSAT more than 0.2 points below the menu rolls back"
    assert said["latency_slo_breach"] == "Slow share (slower than 4,000 ms) over 5.0 % holds the ramp"
    assert "as the share says" in live_words.rule(healthy.policy, "sample_ratio", "menu")
    assert live_words.plain("csat_drop: resolution_time is up", healthy.policy) == "CSAT drop: Resolution time is up"


def test_decisions_leave_out_what_changes_nothing(troubled: State) -> None:
    found = live_words.decisions(troubled)
    assert [row.event for row in found][:2] == ["cut_verified", "rollback"]
    noise = replace(troubled.log[0], event="output_reviewed")
    assert live_words.decisions(replace(troubled, log=(noise,))) == []


def test_offered_acts_follow_the_state(healthy: State, troubled: State) -> None:
    def names(state: State) -> list[str]:
        return [act.name for act in live_acts.offered(state)]

    assert names(healthy) == ["rollback", "hold", "disable-execution"]
    assert names(troubled) == []
    rollout = healthy.rollout
    assert names(replace(healthy, rollout=replace(rollout, state=RolloutState.HELD, execution_enabled=False))) == [
        "rollback",
        "resume",
        "enable-execution",
    ]
    assert names(replace(healthy, rollout=replace(rollout, state=RolloutState.COMPLETE))) == [
        "rollback",
        "hold",
        "disable-execution",
    ]
    needs = {act.name: act.permission for act in (live_acts.ROLLBACK, live_acts.HOLD, live_acts.WORKFLOWS_OFF)}
    assert set(needs.values()) == {Permission.CONTAIN}
    assert live_acts.RESUME.permission is live_acts.WORKFLOWS_ON.permission is Permission.GROW


def test_the_buttons_are_drawn_anew_when_what_they_do_changes(healthy: State) -> None:
    quiet = Quiet(
        "silence", "s-1", "metric csat", "ana", "noise", healthy.meta.now, healthy.meta.now + timedelta(hours=1)
    )
    before = live_acts.mark(healthy, [quiet])
    assert before == live_acts.mark(replace(healthy, log=()), [quiet])
    later = replace(healthy, meta=replace(healthy.meta, now=quiet.until))
    assert before != live_acts.mark(later, [quiet])
    assert before != live_acts.mark(replace(healthy, rollout=replace(healthy.rollout, version=99)), [quiet])


def test_a_silence_is_in_force_up_to_its_end_and_not_at_it() -> None:
    start = datetime(2026, 1, 7, 9, tzinfo=UTC)
    one = Quiet(
        "silence",
        "s",
        labels({"metric": ["csat"], "severity": ["warning", "error"]}),
        "a",
        "b",
        start,
        start + timedelta(1),
    )
    assert one.what == "metric csat; severity warning or error"
    assert [one.active(start + timedelta(hours=h)) for h in (-1, 0, 23, 24)] == [False, True, True, False]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_a_picture_says_its_numbers_and_breaks_at_gaps(colours) -> None:
    line = Trace([(0.0, 0.2), (0.4, 0.3), (0.6, None), (0.8, 0.9), (1.0, 1.4)], filled=True)
    found = picture([line, Trace([(0.5, 0.5)], dashed=True)], 'now "2 %" <b>', colours, limit=0.5)
    assert 'alt="now &quot;2 %&quot; &lt;b&gt;"' in found
    svg = b64decode(found.split("base64,")[1].split('"')[0]).decode()
    assert svg.count("M") == 1 + 1 + 2 * 2 + 1  # the ground, the limit, two runs with their areas, one dot
    assert svg.count(colours.bad) == 1
    heights = [live_spark._y(value, 56) for value in (-1.0, 0.0, 1.0, 2.0)]
    assert heights == [53.0, 53.0, 3.0, 3.0]


def test_a_page_is_redrawn_when_no_dialog_is_open_and_a_refusal_stays_to_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(acting.st, "session_state", {"reason_rollback": "left over", acting.CONFIRMING: True})
    for name in ("success", "error"):
        monkeypatch.setattr(acting.st, name, shown.append)
    assert acting.confirming()
    acting.st.session_state["outcome"] = control.Outcome(False, "Refused: it has changed")
    acting.outcome()
    acting.outcome()
    assert not acting.confirming()
    acting.st.session_state["outcome"] = control.Outcome(True, "Done")
    for _ in range(2):
        acting.outcome()
    assert shown == ["Refused: it has changed"] * 2 + ["Done"]
