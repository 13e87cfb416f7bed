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
    history_name,
    start,
)

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
SHARES = ("[1.0]", "[0.01, 0.05]", "[0.05, 0.2, 0.5]", "[0.97]")
PERSON, AUTOMATIC = ActorKind.PERSON, ActorKind.AUTOMATIC

# Written from the design, not from the table under test: state -> events that a person / the machine may send.
BY_PERSON = {
    "RUNNING": {"promote", "hold", "disable_execution", "enable_execution", "rollback", "deploy", "policy"},
    "HELD": {"resume", "disable_execution", "enable_execution", "rollback", "deploy", "policy"},
    "ROLLED_BACK": {"restart"},
    "COMPLETE": {"hold", "disable_execution", "enable_execution", "rollback", "deploy", "policy", "supersede"},
}
BY_MACHINE = {
    "RUNNING": {"hold", "disable_execution", "rollback"},
    "HELD": {"resume", "disable_execution", "rollback"},
    "ROLLED_BACK": set(),
    "COMPLETE": {"hold", "disable_execution", "rollback"},
}
for state in BY_PERSON:
    BY_PERSON[state] |= {"contain", "release_category"}
    BY_MACHINE[state] |= {"contain"}


def policy_with(phases: int, salt: str = "s", limit: float = 0.05) -> Policy:
    blocks = [
        f'[[phases]]\nname = "p{i}"\naudience = "{"employees" if i == 0 else "eligible"}"\nshares = {SHARES[i]}\n'
        for i in range(phases)
    ]
    trigger = f'[[triggers]]\nname = "slow"\nmetric = "timeout_rate"\nkind = "one_sample"\nlimit = {limit}\n'
    head = f'schema = 1\nname = "p"\nowner = "o"\nbaseline = "menu"\n[assignment]\nsalt = "{salt}"\n'
    return parse(head + "".join(blocks) + trigger + 'weight = 1.0\naction = "hold"\n')


POLICIES = {phases: policy_with(phases) for phases in (1, 2, 3, 4)}
POLICY = POLICIES[4]
OTHERS = (*POLICIES.values(), policy_with(4, limit=0.02), policy_with(3, limit=0.02), policy_with(4, salt="t"))


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
        policy=st.sampled_from([None, *OTHERS]),
        categories=st.sets(st.sampled_from(["", "fraud", "fees"]), max_size=2),
    )
    def send(self, event: Event, kind: ActorKind, release: str, policy: Policy | None, categories: set[str]) -> None:
        self.minute += 1
        sent = change(str(event), kind, self.minute, release)
        sent = replace(sent, policy=policy, categories=tuple(categories))
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
        if sent.event is Event.POLICY:
            assert policy is not None
            self.policy = policy

    def is_allowed(self, rollout: Rollout, sent: Change) -> bool:
        listed = (BY_PERSON if sent.actor_kind is PERSON else BY_MACHINE)[str(rollout.state)]
        if str(sent.event) not in listed:
            return False
        if sent.event is Event.PROMOTE:
            return rollout.stage + 1 < len(self.policy.stages)
        if sent.event in (Event.RESTART, Event.SUPERSEDE):
            return bool(sent.release) and sent.release_hash != rollout.release_hash
        if sent.event is Event.CONTAIN:
            return bool(sent.categories)
        if sent.event is Event.RELEASE_CATEGORY:
            return bool(sent.categories) and set(sent.categories) <= set(rollout.contained)
        if sent.event is Event.POLICY:
            return sent.policy is not None and self.may_take_over(rollout, sent.policy)
        return True

    def may_take_over(self, rollout: Rollout, new: Policy) -> bool:
        """Another text, the same draw, the same past, and neither an end where there was none nor the reverse."""
        old, behind = self.policy, rollout.stage + 1
        same_past = [(s.phase, s.audience, s.share) for s in new.stages[:behind]] == [
            (s.phase, s.audience, s.share) for s in old.stages[:behind]
        ]
        same_end = (len(new.stages) == behind) == (len(old.stages) == behind)
        return new.text != old.text and new.assignment.salt == old.assignment.salt and same_past and same_end

    def check_effect(self, before: Rollout, after: Rollout, sent: Change) -> None:
        match sent.event:
            case Event.PROMOTE:
                assert after.stage == before.stage + 1
                assert after.stage_started_at == sent.now
            case Event.RESTART | Event.SUPERSEDE:
                assert (after.stage, after.state, after.execution_enabled) == (0, RolloutState.RUNNING, True)
                assert (after.rollout_id, after.release_hash) == (sent.rollout_id, sent.release_hash)
                assert after.stage_started_at == sent.now
                accepted = before.release if sent.event is Event.SUPERSEDE else before.accepted_release
                assert after.accepted_release == accepted
            case _:
                assert (after.stage, after.phase) == (before.stage, before.phase)
                assert after.stage_started_at == before.stage_started_at
                assert after.rollout_id == before.rollout_id
        if sent.event in (Event.HOLD, Event.RESUME, Event.DEPLOY):
            assert (after.share, after.execution_enabled) == (before.share, before.execution_enabled)
        if sent.event not in (Event.DEPLOY, Event.RESTART, Event.SUPERSEDE):
            assert after.release_hash == before.release_hash
        if sent.event is Event.POLICY:
            assert sent.policy is not None
            assert after.policy_hash == sent.policy.hash
        else:
            assert after.policy_hash == before.policy_hash
        self.check_containment(before, after, sent)

    def check_containment(self, before: Rollout, after: Rollout, sent: Change) -> None:
        """What is contained grows by containment alone and shrinks by a person alone; a new release does not forget it."""
        if sent.event is Event.CONTAIN:
            assert set(after.contained) == set(before.contained) | set(sent.categories)
            assert after.execution_enabled is False
        elif sent.event is Event.RELEASE_CATEGORY:
            assert sent.actor_kind is PERSON
            assert set(after.contained) == set(before.contained) - set(sent.categories)
            assert after.execution_enabled == before.execution_enabled
        else:
            assert after.contained == before.contained

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


PATHS = {"restart": ["rollback"], "supersede": ["promote"] * 6}


@pytest.mark.parametrize("event", ["promote", "restart", "supersede", "enable_execution", "deploy"])
def test_only_a_person_grows_anything(event: str) -> None:
    rollout = advanced(POLICY, PATHS.get(event, []))
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


def test_the_release_that_was_full_becomes_the_accepted_one() -> None:
    full = advanced(POLICY, ["promote"] * 6)
    with pytest.raises(IllegalTransition, match="served to everybody"):
        apply(full, replace(change("supersede", release="b"), release_hash=full.release_hash), POLICY)
    after = apply(full, change("supersede", release="b"), POLICY)
    assert (after.accepted_release, after.release, after.state, after.stage) == ("a", "b", RolloutState.RUNNING, 0)
    assert after.version == full.version + 1
    cut = apply(after, change("rollback"), POLICY)
    again = apply(cut, change("restart", release="c"), POLICY)
    assert again.accepted_release == "a"  # what was rolled back was never accepted


def test_the_history_of_a_successor_begins_with_a_start() -> None:
    assert history_name(Event.SUPERSEDE, PERSON) == "start"
    assert history_name(Event.RESUME, AUTOMATIC) == "auto_resume"
    assert history_name(Event.RESUME, PERSON) == "resume"


def test_a_policy_that_rewrites_the_past_is_refused_with_the_reason() -> None:
    rollout = advanced(POLICY, ["promote", "promote"])
    cases = {
        "draws all customers anew": policy_with(4, salt="t"),
        "in force already": POLICY,
        "followed by another": policy_with(2),
        "stages already passed": replace(policy_with(4, limit=0.02), phases=tuple(reversed(POLICY.phases))),
    }
    for words, new in cases.items():
        with pytest.raises(IllegalTransition, match=words):
            apply(rollout, replace(change("policy"), policy=new), POLICY)
    after = apply(rollout, replace(change("policy"), policy=policy_with(4, limit=0.02)), POLICY)
    assert (after.stage, after.share, after.state) == (rollout.stage, rollout.share, rollout.state)


def test_a_containment_outlives_its_release_and_ends_by_a_person() -> None:
    cut = advanced(POLICY, ["rollback"])
    contained = apply(cut, replace(change("contain", AUTOMATIC), categories=("fraud", "")), POLICY)
    assert (contained.state, contained.contained) == (RolloutState.ROLLED_BACK, ("", "fraud"))
    again = apply(contained, change("restart", release="b"), POLICY)
    assert again.contained == ("", "fraud")
    with pytest.raises(IllegalTransition, match="only a person"):
        apply(again, replace(change("release_category", AUTOMATIC), categories=("fraud",)), POLICY)
    with pytest.raises(IllegalTransition, match="not contained; contained: \\(no intent told\\), fraud"):
        apply(again, replace(change("release_category"), categories=("fees",)), POLICY)
    assert apply(again, replace(change("release_category"), categories=("fraud",)), POLICY).contained == ("",)
