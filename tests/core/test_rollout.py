"""The rollout's state machine against a second, independent statement of what is allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import (
    PRECEDENCE,
    TRANSITIONS,
    ActorKind,
    Change,
    Event,
    IllegalTransition,
    apply,
    diagram,
    start,
)

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
SHARES = ("[1.0]", "[0.01, 0.05]", "[0.05, 0.2, 0.5]", "[0.97]")
PERSON, AUTOMATIC = ActorKind.PERSON, ActorKind.AUTOMATIC

# Written from the design, not from the table under test: state -> events that a person / the machine may send.
BY_PERSON = {
    "RUNNING": {"promote", "hold", "disable_execution", "enable_execution", "rollback", "deploy"},
    "HELD": {"resume", "disable_execution", "enable_execution", "rollback", "deploy"},
    "ROLLED_BACK": {"restart"},
    "COMPLETE": {"hold", "disable_execution", "enable_execution", "rollback", "deploy"},
}
BY_MACHINE = {
    "RUNNING": {"hold", "disable_execution", "rollback"},
    "HELD": {"resume", "disable_execution", "rollback"},
    "ROLLED_BACK": set(),
    "COMPLETE": {"hold", "disable_execution", "rollback"},
}


def policy_with(phases: int) -> Policy:
    blocks = [
        f'[[phases]]\nname = "p{i}"\naudience = "{"employees" if i == 0 else "eligible"}"\nshares = {SHARES[i]}\n'
        for i in range(phases)
    ]
    trigger = '[[triggers]]\nname = "slow"\nmetric = "timeout_rate"\nkind = "one_sample"\nlimit = 0.05\n'
    head = 'schema = 1\nname = "p"\nowner = "o"\nbaseline = "menu"\n[assignment]\nsalt = "s"\n'
    return parse(head + "".join(blocks) + trigger + 'weight = 1.0\naction = "hold"\n')


POLICIES = {phases: policy_with(phases) for phases in (1, 2, 3, 4)}
POLICY = POLICIES[4]


def change(event: str, kind: ActorKind = PERSON, minutes: int = 1, release: str = "") -> Change:
    named = {"rollout_id": f"id-{release}", "release": release, "release_hash": f"hash-{release}"} if release else {}
    return Change(Event(event), kind, f"because {event}", T0 + timedelta(minutes=minutes), **named)


def started(policy: Policy = POLICY) -> Rollout:
    return start(change("start", release="a", minutes=0), policy)


def advanced(policy: Policy, events: list[str]) -> Rollout:
    rollout = started(policy)
    for event in events:
        rollout = apply(rollout, change(event), policy)
    return rollout


class Life(RuleBasedStateMachine):
    """Any events in any order from anybody: only what the design lists ever happens."""

    @initialize(phases=st.sampled_from(sorted(POLICIES)))
    def begin(self, phases: int) -> None:
        self.policy = POLICIES[phases]
        self.rollout = started(self.policy)
        self.accepted = 0
        self.minute = 0

    @rule(
        event=st.sampled_from(list(Event)),
        kind=st.sampled_from(list(ActorKind)),
        release=st.sampled_from(["", "a", "b", "c"]),
    )
    def send(self, event: Event, kind: ActorKind, release: str) -> None:
        self.minute += 1
        sent = change(str(event), kind, self.minute, release)
        before = replace(self.rollout)
        try:
            after = apply(self.rollout, sent, self.policy)
        except IllegalTransition:
            assert self.rollout == before
            assert not self.is_allowed(before, sent)
            return
        assert self.is_allowed(before, sent)
        self.accepted += 1
        assert after.updated_at == sent.now
        assert after.reason == sent.reason
        self.check_effect(before, after, sent)
        self.rollout = after

    def is_allowed(self, rollout: Rollout, sent: Change) -> bool:
        listed = (BY_PERSON if sent.actor_kind is PERSON else BY_MACHINE)[str(rollout.state)]
        if str(sent.event) not in listed:
            return False
        if sent.event is Event.PROMOTE:
            return rollout.stage + 1 < len(self.policy.stages)
        if sent.event is Event.RESTART:
            return bool(sent.release) and sent.release_hash != rollout.release_hash
        return True

    def check_effect(self, before: Rollout, after: Rollout, sent: Change) -> None:
        match sent.event:
            case Event.PROMOTE:
                assert after.stage == before.stage + 1
                assert after.stage_started_at == sent.now
            case Event.RESTART:
                assert (after.stage, after.state, after.execution_enabled) == (0, RolloutState.RUNNING, True)
                assert (after.rollout_id, after.release_hash) == (sent.rollout_id, sent.release_hash)
                assert after.stage_started_at == sent.now
            case _:
                assert (after.stage, after.phase) == (before.stage, before.phase)
                assert after.stage_started_at == before.stage_started_at
                assert after.rollout_id == before.rollout_id
        if sent.event in (Event.HOLD, Event.RESUME, Event.DEPLOY):
            assert (after.share, after.execution_enabled) == (before.share, before.execution_enabled)
        if sent.event is not Event.DEPLOY and sent.event is not Event.RESTART:
            assert after.release_hash == before.release_hash
        assert after.policy_hash == before.policy_hash

    @invariant()
    def the_row_makes_sense(self) -> None:
        row, stages = self.rollout, self.policy.stages
        assert row.version == 1 + self.accepted
        assert 0 <= row.stage < len(stages)
        assert row.phase == stages[row.stage].phase
        if row.state is RolloutState.ROLLED_BACK:
            assert row.share == 0.0
            assert row.execution_enabled is False
        else:
            assert row.share == stages[row.stage].share
        if row.state is RolloutState.COMPLETE:
            assert row.stage == len(stages) - 1


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(
    path=st.lists(
        st.sampled_from(["promote", "hold", "disable_execution", "deploy", "resume", "rollback"]), max_size=9
    ),
    event=st.sampled_from(list(Event)),
)
@settings(deadline=None)
def test_the_machine_never_exposes_more(path: list[str], event: Event) -> None:
    rollout = started()
    for step in path:
        try:
            rollout = apply(rollout, change(step), POLICY)
        except IllegalTransition:
            continue
    try:
        after = apply(rollout, change(str(event), AUTOMATIC, release="other"), POLICY)
    except IllegalTransition:
        return
    assert after.share <= rollout.share
    assert after.stage == rollout.stage
    assert after.execution_enabled <= rollout.execution_enabled
    assert after.release_hash == rollout.release_hash


def test_a_start_is_a_persons_and_names_everything() -> None:
    row = started()
    assert (row.version, row.stage, row.share, row.phase) == (1, 0, 1.0, "p0")
    assert (row.state, row.execution_enabled, row.policy_hash) == (RolloutState.RUNNING, True, POLICY.hash)
    assert row.updated_at == row.stage_started_at == T0
    with pytest.raises(IllegalTransition, match="person"):
        start(change("start", AUTOMATIC, release="a"), POLICY)
    with pytest.raises(IllegalTransition, match="event 'start'"):
        start(change("restart", release="a"), POLICY)
    for missing in ("rollout_id", "release", "release_hash"):
        with pytest.raises(IllegalTransition, match="names the rollout"):
            start(replace(change("start", release="a"), **{missing: ""}), POLICY)


def test_start_is_no_event_of_a_running_rollout() -> None:
    with pytest.raises(IllegalTransition, match="does not take the event 'start'"):
        apply(started(), change("start", release="b"), POLICY)


@pytest.mark.parametrize("event", ["promote", "restart", "enable_execution", "deploy"])
def test_only_a_person_grows_anything(event: str) -> None:
    rollout = advanced(POLICY, ["rollback"] if event == "restart" else [])
    with pytest.raises(IllegalTransition, match="only a person"):
        apply(rollout, change(event, AUTOMATIC, release="b"), POLICY)
    assert apply(rollout, change(event, PERSON, release="b"), POLICY).version == rollout.version + 1


def test_promotions_walk_every_stage_and_end_complete() -> None:
    rollout, walked = started(), [(0, "p0", 1.0)]
    while rollout.state is not RolloutState.COMPLETE:
        rollout = apply(rollout, change("promote", minutes=rollout.version), POLICY)
        walked.append((rollout.stage, rollout.phase, rollout.share))
    assert walked == [(stage.index, stage.phase, stage.share) for stage in POLICY.stages]
    with pytest.raises(IllegalTransition, match="COMPLETE does not take the event 'promote'"):
        apply(rollout, change("promote"), POLICY)


def test_the_only_stage_of_a_policy_has_nothing_behind_it() -> None:
    with pytest.raises(IllegalTransition, match="last one"):
        apply(started(POLICIES[1]), change("promote"), POLICIES[1])


def test_a_hold_of_a_complete_rollout_is_released_to_complete() -> None:
    held = advanced(POLICY, ["promote"] * 6 + ["hold"])
    assert held.state is RolloutState.HELD
    assert apply(held, change("resume"), POLICY).state is RolloutState.COMPLETE
    below = advanced(POLICY, ["promote", "hold", "resume"])
    assert below.state is RolloutState.RUNNING


def test_a_held_ramp_cannot_be_promoted() -> None:
    with pytest.raises(IllegalTransition, match="HELD does not take the event 'promote'"):
        apply(advanced(POLICY, ["hold"]), change("promote"), POLICY)


@pytest.mark.parametrize("path", [[], ["hold"], ["promote"] * 6, ["disable_execution"]])
@pytest.mark.parametrize("kind", [PERSON, AUTOMATIC])
def test_a_rollback_cuts_from_everywhere(path: list[str], kind: ActorKind) -> None:
    after = apply(advanced(POLICY, path), change("rollback", kind), POLICY)
    assert (after.state, after.share, after.execution_enabled) == (RolloutState.ROLLED_BACK, 0.0, False)


def test_a_restart_needs_other_artefacts_and_counts_on() -> None:
    cut = advanced(POLICY, ["promote", "rollback"])
    with pytest.raises(IllegalTransition, match="other artefacts"):
        apply(cut, replace(change("restart", release="b"), release_hash=cut.release_hash), POLICY)
    with pytest.raises(IllegalTransition, match="names the rollout"):
        apply(cut, change("restart"), POLICY)
    again = apply(cut, change("restart", release="b"), POLICY)
    assert (again.version, again.stage, again.share) == (cut.version + 1, 0, 1.0)


def test_execution_comes_back_only_by_a_person() -> None:
    off = advanced(POLICY, ["disable_execution", "hold", "resume", "promote"])
    assert off.execution_enabled is False
    assert apply(off, change("enable_execution"), POLICY).execution_enabled is True


def test_a_deploy_may_bring_a_new_hash() -> None:
    assert apply(started(), change("deploy"), POLICY).release_hash == "hash-a"
    assert apply(started(), change("deploy", release="b"), POLICY).release_hash == "hash-b"


def test_a_rollback_wins_a_race() -> None:
    assert PRECEDENCE[0] is Event.ROLLBACK
    assert PRECEDENCE.index(Event.HOLD) < PRECEDENCE.index(Event.RESUME) < PRECEDENCE.index(Event.PROMOTE)


def test_the_diagram_shows_every_transition_and_nothing_else() -> None:
    arrows = {}
    for line in diagram().splitlines()[1:]:
        pair, _, labels = line.partition(": ")
        source, target = (end.strip() for end in pair.split("-->"))
        arrows.setdefault((source, target), set()).update(labels.split(", "))
    shown = {(source, target, label) for (source, target), labels in arrows.items() for label in labels}
    expected = {
        (str(source), str(target), str(event) if len(who) > 1 else f"{event} (person)")
        for (source, event), (target, who) in TRANSITIONS.items()
    }
    extra = {
        ("[*]", "RUNNING", "start (person)"),
        ("RUNNING", "COMPLETE", "promote (to the last stage)"),
        ("HELD", "COMPLETE", "resume (at the last stage)"),
    }
    assert shown == expected | extra
    assert diagram().startswith("stateDiagram-v2\n")
