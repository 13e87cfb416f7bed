"""From readings to at most one decision, and never a bolder one than the evidence allows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.judge import AUTOMATIC, STALE, decide, strictest
from controlplane.core.model import Action, BlockCounts, Decision, Rollout, RolloutState, TriggerReading, Verdict
from controlplane.core.policy import parse
from controlplane.core.rollout import ActorKind, Change, Event, apply
from controlplane.settings import shipped_policy

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)
POLICY = parse(shipped_policy("default"))
RUNNING = Rollout("r", "v1", "h", RolloutState.RUNNING, "canary", 1, 0.01, True, POLICY.hash, 3, T0, T0)
HELD = replace(RUNNING, state=RolloutState.HELD, reason="trigger x: held")
STALE_HELD = replace(HELD, reason=f"{STALE}: no record for more than 300 s")
COMPLETE = replace(RUNNING, state=RolloutState.COMPLETE, stage=len(POLICY.stages) - 1, phase="full", share=0.97)
CUT = replace(RUNNING, state=RolloutState.ROLLED_BACK, share=0.0, execution_enabled=False)
HARMLESS_FIRST = [Action.PAGE, Action.HOLD, Action.DISABLE_EXECUTION, Action.ROLLBACK]


def reading(action: Action, over: float = 1.0, fired: bool = True, name: str = "") -> TriggerReading:
    verdict = Verdict.FAIL if fired else Verdict.PASS
    counts = BlockCounts("m", "all", T0, 60)
    name = name or str(action)
    return TriggerReading(name, "m", "all", action, verdict, T0, 7.0 + over, 7.0, fired, counts, f"{name} is harmful")


def decided(rollout: Rollout, *readings: TriggerReading, fresh: bool = True) -> Decision | None:
    found = decide(rollout, POLICY, readings, fresh=fresh, now=NOW)
    if found is not None:
        apply(rollout, Change(Event(found.event), ActorKind.AUTOMATIC, found.reason, NOW), POLICY)  # must be legal
        assert (found.actor, found.decided_at, found.policy_hash) == (AUTOMATIC, NOW, POLICY.hash)
    return found


def event_of(rollout: Rollout, *readings: TriggerReading, fresh: bool = True) -> str | None:
    found = decided(rollout, *readings, fresh=fresh)
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
    assert strictest([]) is None
    assert strictest([reading(Action.ROLLBACK, fired=False)]) is None


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
