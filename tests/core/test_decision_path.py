"""The pure parts together, minute by minute: blocks close, streams read, one decision is taken, the rollout follows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controlplane.core.blocks import Block, LetGo, StageEvent, closable, lanes, let_go
from controlplane.core.judge import Situation, decide, not_let_go
from controlplane.core.model import BlockCounts, Rollout, RolloutState, TriggerReading, Verdict
from controlplane.core.policy import Policy, parse
from controlplane.core.rollout import ActorKind, Change, Event, apply, history_name, start
from controlplane.core.triggers import VOID, last_block, latched, step_lane

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
HEALTHY, BROKEN = 1, 60  # errors among 100 calls of a minute
TEXT = """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = {{ salt = "s" }}
phases = [{{ name = "one", audience = "eligible", shares = [0.1, 0.5] }}]
[[triggers]]
name = "errors"
metric = "api_error_rate"
kind = "one_sample"
limit = 0.05
weight = 1.0
action = "{action}"
"""


@dataclass
class World:
    """A rollout whose minutes bring errors among 100 calls each; the machine looks 40 s after every full minute."""

    policy: Policy
    rollout: Rollout
    errors: list[int]
    history: list[StageEvent] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    decisions: list[tuple[float, str]] = field(default_factory=list)

    def send(self, event: str, minute: float, kind: ActorKind = ActorKind.PERSON, reason: str = "") -> None:
        now = T0 + timedelta(minutes=minute)
        self.rollout = apply(self.rollout, Change(Event(event), kind, reason or event, now), self.policy)
        self.history.append(StageEvent(self.rollout.version, history_name(Event(event), kind), self.rollout.state, now))

    def look(self, minute: float, *, fresh: bool = True) -> None:
        (lane,) = lanes(self.policy)
        now, readings = T0 + timedelta(minutes=minute), []
        for block in closable(self.history, lane, last_block(self.state), now):
            x = self.errors[int((block.start - T0) / timedelta(minutes=1))]
            counts = BlockCounts("api_error_rate", "all", block.start, 60, n_t=100, x_t=x)
            taken = step_lane(self.policy, lane, self.state, block, {("errors", "all"): counts}, let_go(self.history))
            self.state = json.loads(json.dumps(taken.state, allow_nan=False))
            readings += taken.readings
        latched = not_let_go(self.policy, [self.state], let_go(self.history))
        decision = decide(self.rollout, self.policy, readings, Situation(now, fresh, latched))
        if decision is not None:
            self.decisions.append((minute, decision.event))
            self.send(decision.event, minute, ActorKind.AUTOMATIC, decision.reason)

    def look_through(self, first: int, last: int) -> None:
        for minute in range(first, last):
            self.look(minute + 40 / 60)


def begin(action: str, errors: list[int]) -> World:
    policy = parse(TEXT.format(action=action))
    change = Change(Event.START, ActorKind.PERSON, "begin", T0, rollout_id="r", release="v", release_hash="h")
    rollout = start(change, policy)
    return World(policy, rollout, errors, [StageEvent(1, "start", rollout.state, T0)])


OUTAGE = [HEALTHY] * 20 + [BROKEN] * 3 + [HEALTHY] * 60


@pytest.mark.parametrize("action", ["page", "hold", "disable_execution", "rollback"])
def test_a_healthy_release_is_left_alone(action: str) -> None:
    world = begin(action, [HEALTHY] * 80)
    world.look_through(1, 80)
    assert world.decisions == []
    assert world.rollout.version == 1


def test_harm_cuts_once_and_the_machine_rests() -> None:
    world = begin("rollback", [HEALTHY] * 20 + [BROKEN] * 60)
    world.look_through(1, 80)
    ((minute, event),) = world.decisions
    assert event == "rollback"
    assert 21 < minute < 24
    assert (world.rollout.share, world.rollout.state) == (0.0, RolloutState.ROLLED_BACK)
    closed = last_block(world.state)
    assert closed is not None
    assert closed.end <= T0 + timedelta(minutes=minute, seconds=1)  # nothing is judged behind the cut


def test_a_hold_stays_until_a_person_resumes() -> None:
    world = begin("hold", OUTAGE)
    world.look_through(1, 80)
    assert [event for _, event in world.decisions] == ["hold"]
    assert world.rollout.state is RolloutState.HELD
    assert world.state["fired"] == ["trigger:errors|all"]


def test_a_pager_does_not_touch_the_rollout_but_stays_latched() -> None:
    world = begin("page", OUTAGE)
    world.look_through(1, 80)
    assert world.decisions == []
    assert world.state["fired"] == ["trigger:errors|all"]


@pytest.mark.parametrize("second", [0, 10, 45])
def test_one_resumption_is_enough_when_the_cause_has_gone(second: int) -> None:
    """The fault is over and a person resumes in the middle of a block; that block must not hold the ramp once more."""
    world = begin("hold", OUTAGE)
    world.look_through(1, 40)
    world.send("resume", 40 + second / 60)
    world.look_through(41, 80)
    assert [event for _, event in world.decisions] == ["hold"]
    assert world.rollout.state is RolloutState.RUNNING
    assert world.state["fired"] == []


def test_harm_that_goes_on_behind_a_resumption_holds_again() -> None:
    world = begin("hold", [HEALTHY] * 20 + [BROKEN] * 60)
    world.look_through(1, 40)
    world.send("resume", 40.2)
    world.look_through(41, 80)
    assert [event for _, event in world.decisions] == ["hold", "hold"]


def test_what_was_switched_off_stays_on_when_a_person_switches_it_on_again() -> None:
    world = begin("disable_execution", OUTAGE)
    world.look_through(1, 40)
    assert [event for _, event in world.decisions] == ["disable_execution"]
    world.send("enable_execution", 40)
    world.look_through(40, 80)
    assert [event for _, event in world.decisions] == ["disable_execution"]
    assert world.rollout.execution_enabled


def test_stale_data_holds_and_fresh_data_goes_on() -> None:
    world = begin("rollback", [HEALTHY] * 80)
    world.look_through(1, 20)
    world.look(20.5, fresh=False)
    world.look(25.5, fresh=False)
    world.look_through(26, 60)
    assert [event for _, event in world.decisions] == ["hold", "resume"]
    assert world.rollout.state is RolloutState.RUNNING


def test_a_gap_in_the_data_does_not_forget_what_has_fired() -> None:
    """Only a person lets go of what has fired: a hold for stale data that the machine itself releases is no such thing."""
    world = begin("page", OUTAGE)
    world.look_through(1, 30)
    assert world.state["fired"] == ["trigger:errors|all"]
    world.look(30.5, fresh=False)
    world.look_through(31, 60)
    assert [event for _, event in world.decisions] == ["hold", "resume"]
    assert world.state["fired"] == ["trigger:errors|all"]


def test_data_that_comes_back_harmful_does_not_release_the_hold() -> None:
    world = begin("hold", [HEALTHY] * 20 + [BROKEN] * 3 + [HEALTHY] * 60)
    world.look_through(1, 20)
    world.look(20.5, fresh=False)
    world.look(23.7, fresh=False)  # what arrives shows harm, but newer data is still missing
    world.look_through(24, 80)
    assert [event for _, event in world.decisions] == ["hold"]
    assert world.rollout.state is RolloutState.HELD


def test_what_fires_only_after_a_resumption_on_older_blocks_is_not_let_go_of() -> None:
    """Labels mature for a day: a person who resumed at noon cannot have known what yesterday's blocks say at one o'clock.

    So it acts at once, its later blocks are heard, the block behind the resumption gives nothing up, and only a resumption after it does.
    """
    policy = parse(TEXT.format(action="rollback"))
    (lane,) = lanes(policy)
    act = T0 + timedelta(minutes=30)
    released = LetGo(resumed_at=act)
    state: dict[str, Any] = {}
    key = ("errors", "all")

    def read(minute: int, bad: int, known: LetGo, **marks: int) -> TriggerReading:
        nonlocal state
        start = T0 + timedelta(minutes=minute)
        block = Block(start, start + timedelta(minutes=1), 1, minute == 0, **marks)
        counts = BlockCounts("api_error_rate", "all", start, 60, n_t=200, x_t=bad)
        taken = step_lane(policy, lane, json.loads(json.dumps(state)), block, {key: counts}, known)
        state = taken.state
        return taken.readings[0]

    assert not read(0, 0, released).fired
    fired = next(minute for minute in range(1, 20) if read(minute, 60, released).fired)
    assert not_let_go(policy, [state], released) == {key}
    assert read(fired + 1, 60, released).verdict is Verdict.FAIL, "heard, not void"
    behind = read(31, 60, released, resumes=1)
    assert behind.fired
    assert not_let_go(policy, [state], released) == {key}
    again = LetGo(resumed_at=T0 + timedelta(minutes=40))
    assert not_let_go(policy, [state], again) == frozenset(), "now it was known"
    void = read(35, 60, again)
    assert (void.reason, void.fired) == (VOID, False), "its evidence is over the threshold still, and has no say"
    assert not read(41, 0, again, resumes=1).fired
    assert latched([state]) == frozenset()
    assert "knowing" not in state
