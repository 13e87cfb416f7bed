"""From readings to at most one decision, and never a bolder one than the evidence allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import LetGo
from controlplane.core.judge import AUTOMATIC, STALE, Situation, asks, decide, not_let_go
from controlplane.core.model import (
    Action,
    BlockCounts,
    Decision,
    MetricKind,
    Rollout,
    RolloutState,
    TriggerReading,
    Verdict,
)
from controlplane.core.policy import Policy, Trigger, parse
from controlplane.core.rollout import ActorKind, Change, Event, apply
from controlplane.core.tripwire import Misrouting
from controlplane.settings import shipped_policy

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
POLICY = parse(shipped_policy("default"))
RUNNING = Rollout("r", "v1", "h", RolloutState.RUNNING, "canary", 1, 0.01, True, POLICY.hash, 3, T0, T0)
HELD = replace(RUNNING, state=RolloutState.HELD, reason="trigger x: held")
STALE_HELD = replace(HELD, reason=f"{STALE}: no record for more than 300 s")
COMPLETE = replace(RUNNING, state=RolloutState.COMPLETE, stage=len(POLICY.stages) - 1, phase="full", share=0.97)
CUT = replace(RUNNING, state=RolloutState.ROLLED_BACK, share=0.0, execution_enabled=False)
TRIGGER = partial(Trigger, kind=MetricKind.ONE_SAMPLE, limit=0.05, weight=0.1)
HARMLESS_FIRST = [Action.PAGE, Action.HOLD, Action.DISABLE_EXECUTION, Action.ROLLBACK]


def reading(action: Action, over: float = 1.0, fired: bool = True, name: str = "") -> TriggerReading:
    verdict = Verdict.FAIL if fired else Verdict.PASS
    counts = BlockCounts("m", "all", T0, 60)
    name = name or str(action)
    return TriggerReading(name, "m", "all", action, verdict, T0, 7.0 + over, 7.0, fired, counts, f"{name} is harmful")


def policy_of(*readings: TriggerReading, **tables: Any) -> Policy:
    """A policy with a trigger for each reading, a limit on the treated arm unless its metric says otherwise."""
    triggers = {r.trigger: TRIGGER(name=r.trigger, metric=r.metric, action=r.action) for r in readings}
    return replace(POLICY, triggers=tuple(triggers.values()), **tables)


def latch(*readings: TriggerReading) -> frozenset[tuple[str, str]]:
    return frozenset((r.trigger, r.segment) for r in readings if r.fired)


def decided(rollout: Rollout, *readings: TriggerReading, fresh: bool = True, **more: Any) -> Decision | None:
    policy = policy_of(*readings)
    situation = Situation(NOW, fresh, latch(*readings), **more)
    found = decide(rollout, policy, readings, situation)
    if found is not None:
        apply(rollout, Change(Event(found.event), ActorKind.AUTOMATIC, found.reason, NOW), POLICY)  # must be legal
        assert (found.actor, found.decided_at, found.policy_hash) == (AUTOMATIC, NOW, POLICY.hash)
    return found


def event_of(rollout: Rollout, *readings: TriggerReading, fresh: bool = True, **more: Any) -> str | None:
    found = decided(rollout, *readings, fresh=fresh, **more)
    return None if found is None else found.event


def test_without_a_cause_nothing_happens() -> None:
    assert event_of(RUNNING) is None
    assert event_of(RUNNING, *(reading(action, fired=False) for action in Action)) is None


@pytest.mark.parametrize(
    ("action", "event"),
    [("page", None), ("hold", "hold"), ("disable_execution", "disable_execution"), ("rollback", "rollback")],
)
@pytest.mark.parametrize("rollout", [RUNNING, COMPLETE])
def test_each_action_is_its_event(rollout: Rollout, action: str, event: str | None) -> None:
    assert event_of(rollout, reading(Action(action))) == event


@pytest.mark.parametrize("order", list(permutations(HARMLESS_FIRST)))
def test_the_strictest_action_wins_in_any_order(order: tuple[Action, ...]) -> None:
    for size in range(1, 5):
        chosen = order[:size]
        top = max(chosen, key=HARMLESS_FIRST.index)
        expected = None if top is Action.PAGE else str(top)
        # a mild trigger with overwhelming evidence does not outvote a strict one
        readings = [reading(action, over=100.0 - 20 * HARMLESS_FIRST.index(action)) for action in chosen]
        assert event_of(RUNNING, *readings) == expected


def test_among_equals_the_strongest_evidence_is_named() -> None:
    weak, strong = reading(Action.ROLLBACK, 0.5, name="weak"), reading(Action.ROLLBACK, 5.0, name="strong")
    for readings in ([weak, strong], [strong, weak]):
        found = decided(RUNNING, *readings)
        assert found is not None
        assert found.trigger == "strong"
        assert found.reason == "trigger strong: strong is harmful"
        assert found.evidence == {"log_e": 12.0, "log_threshold": 7.0, "segment": "all"}
    assert decided(RUNNING, reading(Action.ROLLBACK, fired=False)) is None


@pytest.mark.parametrize("fresh", [True, False])
def test_after_a_rollback_the_machine_decides_nothing(fresh: bool) -> None:
    assert event_of(CUT, *(reading(action) for action in Action), fresh=fresh) is None


def test_what_is_held_is_not_held_again() -> None:
    assert event_of(HELD, reading(Action.HOLD)) is None
    assert event_of(HELD, reading(Action.ROLLBACK), reading(Action.HOLD)) == "rollback"
    assert event_of(HELD, reading(Action.DISABLE_EXECUTION)) == "disable_execution"


def test_what_is_switched_off_is_not_switched_off_again() -> None:
    off = replace(RUNNING, execution_enabled=False)
    assert event_of(off, reading(Action.DISABLE_EXECUTION)) is None


def test_a_stricter_trigger_that_changes_nothing_does_not_hide_a_milder_one() -> None:
    """A dependency that keeps failing fires in every block; a hold for another reason must still come through."""
    off = replace(RUNNING, execution_enabled=False)
    assert event_of(off, reading(Action.DISABLE_EXECUTION, 50.0), reading(Action.HOLD)) == "hold"


def test_stale_data_holds_the_ramp_and_says_how_long() -> None:
    for rollout in (RUNNING, COMPLETE):
        found = decided(rollout, fresh=False)
        assert found is not None
        assert found.event == "hold"
        assert found.reason.startswith(STALE)
        assert "300 s" in found.reason
        assert found.trigger is None


@pytest.mark.parametrize("rollout", [HELD, STALE_HELD])
def test_unknown_never_does_more_than_hold(rollout: Rollout) -> None:
    assert event_of(rollout, fresh=False) is None


def test_a_firing_trigger_is_believed_even_when_newer_data_is_missing() -> None:
    assert event_of(RUNNING, reading(Action.ROLLBACK), fresh=False) == "rollback"
    assert event_of(RUNNING, reading(Action.PAGE), fresh=False) == "hold"


def test_only_a_hold_for_stale_data_is_released_when_data_is_fresh() -> None:
    assert event_of(STALE_HELD) == "resume"
    assert event_of(HELD) is None
    assert event_of(replace(HELD, reason="a person has doubts (ann)")) is None
    assert event_of(RUNNING) is None


def test_a_stale_hold_is_not_released_into_a_firing_hold_trigger() -> None:
    """When data comes back and shows harm at once, the ramp must not go on for want of a second hold."""
    assert event_of(STALE_HELD, reading(Action.HOLD)) is None
    assert event_of(STALE_HELD, reading(Action.HOLD), fresh=False) is None
    assert event_of(STALE_HELD, reading(Action.ROLLBACK)) == "rollback"


def test_the_round_trip_of_a_stale_hold() -> None:
    """What the machine holds for staleness, it recognises and releases, at the last stage too."""
    for rollout in (RUNNING, COMPLETE):
        hold = decided(rollout, fresh=False)
        assert hold is not None
        held = apply(rollout, Change(Event.HOLD, ActorKind.AUTOMATIC, hold.reason, NOW), POLICY)
        resume = decided(held)
        assert resume is not None
        back = apply(held, Change(Event.RESUME, ActorKind.AUTOMATIC, resume.reason, NOW), POLICY)
        assert back.state is rollout.state
        assert decided(back) is None


READINGS = st.lists(
    st.builds(reading, st.sampled_from(list(Action)), st.floats(0, 50), st.booleans()),
    max_size=6,
)


@given(
    rollout=st.sampled_from([RUNNING, HELD, STALE_HELD, COMPLETE, CUT]),
    execution=st.booleans(),
    readings=READINGS,
    fresh=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_every_decision_is_legal_justified_and_changes_something(
    rollout: Rollout, execution: bool, readings: list[TriggerReading], fresh: bool
) -> None:
    rollout = replace(rollout, execution_enabled=rollout.execution_enabled and execution)
    found = decided(rollout, *readings, fresh=fresh)
    fired = {str(r.action) for r in readings if r.fired}
    if found is None:
        assert rollout.state is RolloutState.ROLLED_BACK or "rollback" not in fired
        return
    assert found.event in ("hold", "disable_execution", "rollback", "resume")
    if found.event == "resume":
        assert fresh
        assert not fired - {"page"}
    elif found.trigger is None:
        assert found.event == "hold"
        assert not fresh
    else:
        assert found.event in fired
    after = apply(rollout, Change(Event(found.event), ActorKind.AUTOMATIC, found.reason, NOW), POLICY)
    assert (after.state, after.execution_enabled) != (rollout.state, rollout.execution_enabled)
    assert after.share <= rollout.share


# the latch, and what weakens it


def governed(*triggers: Trigger, **tables: Any) -> Policy:
    return replace(POLICY, triggers=triggers, **tables)


def event_under(policy: Policy, rollout: Rollout = RUNNING, **situation: Any) -> Decision | None:
    return decide(rollout, policy, (), Situation(NOW, **{"fresh": True, **situation}))


def test_what_fired_long_ago_is_acted_upon_now() -> None:
    """A lost race or an expired override: no block has closed since, the latch is all there is."""
    policy = governed(TRIGGER(name="slow", metric="slow_share", action=Action.ROLLBACK))
    found = event_under(policy, latched=frozenset({("slow", "retail")}))
    assert found is not None
    assert (found.event, found.trigger) == ("rollback", "slow")
    assert "retail" in found.reason
    assert found.evidence == {"segment": "retail"}


def test_what_the_policy_no_longer_has_asks_for_nothing() -> None:
    assert event_under(POLICY, latched=frozenset({("gone", "all")})) is None


def test_an_overridden_trigger_pages_and_acts_again_when_the_override_is_over() -> None:
    policy = governed(TRIGGER(name="slow", metric="slow_share", action=Action.ROLLBACK))
    latched = frozenset({("slow", "all")})
    assert event_under(policy, latched=latched, muted=frozenset({"slow"})) is None
    (ask,) = asks(policy, Situation(NOW, True, latched, frozenset({"slow"})))
    assert (ask.action, "overridden" in ask.weakened) == (Action.PAGE, True)
    found = event_under(policy, latched=latched)
    assert found is not None
    assert found.event == "rollback"


@pytest.mark.parametrize("kind", list(MetricKind))
@pytest.mark.parametrize("action", list(Action))
def test_a_shadow_alarm_weakens_rollbacks_by_comparison_alone(kind: MetricKind, action: Action) -> None:
    policy = governed(TRIGGER(name="x", metric="m", action=action, kind=kind))
    latched = frozenset({("x", "all"), ("aa_shadow", "x")})
    _, ask = asks(policy, Situation(NOW, True, latched))
    compared = kind is not MetricKind.ONE_SAMPLE
    assert ask.action is (Action.HOLD if compared and action is Action.ROLLBACK else action)
    assert bool(ask.weakened) == (compared and action is Action.ROLLBACK)


def test_a_shadow_alarm_holds_and_names_itself() -> None:
    found = event_under(POLICY, latched=frozenset({("aa_shadow", "csat_drop")}))
    assert found is not None
    assert (found.event, found.trigger) == ("hold", "aa_shadow")
    assert found.reason.startswith("validity check aa_shadow")


@pytest.mark.parametrize("name", ["sample_ratio", "response_rate", "aa_shadow"])
@pytest.mark.parametrize("rollout", [RUNNING, COMPLETE, HELD, CUT])
def test_validity_checks_only_hold(name: str, rollout: Rollout) -> None:
    found = event_under(POLICY, rollout, latched=frozenset({(name, "all")}))
    assert (None if found is None else found.event) == ("hold" if rollout in (RUNNING, COMPLETE) else None)


@pytest.mark.parametrize(("labels", "accepted", "event"), [("any", False, "hold"), ("any", True, "rollback")])
def test_a_judge_that_is_not_accepted_only_holds(labels: str, accepted: bool, event: str) -> None:
    trigger = TRIGGER(name="h", metric="hallucination_rate", action=Action.ROLLBACK, labels=labels)
    policy = governed(trigger, judge=replace(POLICY.judge, accepted=accepted))
    found = event_under(policy, latched=frozenset({("h", "all")}))
    assert found is not None
    assert found.event == event
    assert ("judge" in found.reason) == (event == "hold")


def test_labels_of_people_roll_back_whatever_the_judge_is_worth() -> None:
    trigger = TRIGGER(name="h", metric="hallucination_rate", action=Action.ROLLBACK, labels="person")
    found = event_under(governed(trigger), latched=frozenset({("h", "all")}))
    assert found is not None
    assert found.event == "rollback"


# what a person let go of


def lane(fired: list[str], opened: datetime) -> dict[str, Any]:
    end = opened + timedelta(minutes=1)
    return {"fired": fired, "last": {"start": opened.isoformat(), "end": end.isoformat(), "version": 1}}


@pytest.mark.parametrize(("minutes", "stands"), [(-1, False), (0, True), (1, True)])
def test_a_resumption_lets_go_of_what_fired_before(minutes: int, stands: bool) -> None:
    """At the first block that opens at or behind it the lane itself has dropped what was let go of: what it names then is new."""
    state = lane(["trigger:slow|all"], NOW + timedelta(minutes=minutes))
    assert not_let_go(POLICY, [state], LetGo(resumed_at=NOW)) == (
        frozenset({("slow", "all")}) if stands else frozenset()
    )


def test_switching_execution_on_lets_go_of_what_switched_it_off_alone() -> None:
    policy = governed(
        TRIGGER(name="off", metric="m", action=Action.DISABLE_EXECUTION),
        TRIGGER(name="cut", metric="m", action=Action.ROLLBACK),
    )
    state = lane(["trigger:off|all", "trigger:cut|all"], NOW - timedelta(minutes=5))
    assert not_let_go(policy, [state], LetGo(enabled_at=NOW)) == frozenset({("cut", "all")})
    assert not_let_go(policy, [state], LetGo()) == frozenset({("cut", "all"), ("off", "all")})


# the tripwire, and doubts about the data

CONFIRMED = Misrouting("e1", "c1", "fraud", 1.0, NOW, "human:eve")


@pytest.mark.parametrize("rollout", [RUNNING, HELD, COMPLETE, CUT, replace(RUNNING, execution_enabled=False)])
def test_one_confirmed_severe_misrouting_is_contained_in_every_state(rollout: Rollout) -> None:
    found = event_under(POLICY, rollout, tripped=(CONFIRMED,), fresh=False)
    assert found is not None
    assert (found.event, found.trigger) == ("contain", "tripwire")
    assert found.evidence == {"categories": ["fraud"], "evaluations": ["e1"]}
    change = Change(Event.CONTAIN, ActorKind.AUTOMATIC, found.reason, NOW, categories=("fraud",))
    after = apply(rollout, change, POLICY)
    assert (after.contained, after.execution_enabled) == (("fraud",), False)


def test_a_rollback_goes_before_a_containment_and_that_before_everything_else() -> None:
    stop = governed(TRIGGER(name="a", metric="m", action=Action.ROLLBACK))
    off = governed(TRIGGER(name="a", metric="m", action=Action.DISABLE_EXECUTION))
    for policy, event in ((stop, "rollback"), (off, "contain")):
        found = event_under(policy, latched=frozenset({("a", "all")}), tripped=(CONFIRMED,))
        assert found is not None
        assert found.event == event


@pytest.mark.parametrize("doubt", ["facts_behind", "swapped"])
def test_doubts_about_the_data_hold_until_a_person_resumes(doubt: str) -> None:
    for rollout in (RUNNING, COMPLETE):
        found = event_under(POLICY, rollout, **{doubt: "an example"})
        assert found is not None
        assert found.event == "hold"
        assert "an example" in found.reason
        held = apply(rollout, Change(Event.HOLD, ActorKind.AUTOMATIC, found.reason, NOW), POLICY)
        assert event_under(POLICY, held) is None  # it does not heal by itself
    assert event_under(POLICY, STALE_HELD, **{doubt: "an example"}) is None


def test_the_situation_names_what_speaks_against_the_comparison() -> None:
    latched = frozenset({("aa_shadow", "csat_drop"), ("sample_ratio", "all"), ("slow", "all")})
    seen = Situation(NOW, True, latched, swapped="x serves y")
    assert seen.invalid == ("aa_shadow (csat_drop)", "sample_ratio", "x serves y")
    assert seen.shadow_alarm
    assert not Situation(NOW, True, frozenset({("sample_ratio", "all")})).shadow_alarm
