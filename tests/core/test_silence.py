"""A metric that stops: what was heard, what should have come, and what is never accused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.judge import Situation, decide, silent_reason
from controlplane.core.model import Action, Arm, BlockCounts, Rollout, RolloutState, TriggerReading, Verdict
from controlplane.core.policy import parse
from controlplane.core.policy_model import Policy
from controlplane.core.silence import HEARD, Heard, heard, heard_after, silent, unheard

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TEXT = """
schema = 1
name = "p"
owner = "o"
baseline = "menu"
[assignment]
salt = "s"
[evaluation]
required = false
[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.5, 1.0]
[[triggers]]
name = "csat_drop"
metric = "csat"
kind = "rating"
limit = 0.1
weight = 0.4
action = "rollback"
[[triggers]]
name = "api"
metric = "api_error_rate"
kind = "one_sample"
limit = 0.05
weight = 0.3
action = "disable_execution"
[[triggers]]
name = "ungrounded"
metric = "hallucination_rate"
kind = "one_sample"
limit = 0.05
weight = 0.3
action = "hold"
"""
POLICY = parse(TEXT, "p.toml")


def reading(trigger: str, n_t: int, n_c: int, segment: str = "all", rated: bool = False) -> TriggerReading:
    if rated:
        counts = BlockCounts("m", segment, T0, 60, k_t=(0, 0, 0, 0, n_t), k_c=(n_c, 0, 0, 0, 0))
    else:
        counts = BlockCounts("m", segment, T0, 60, n_t, 0, n_c, 0)
    return TriggerReading(trigger, "m", segment, Action.HOLD, Verdict.PASS, T0, 0.0, 5.0, False, counts, "")


def stopped(
    told: dict[str, dict[Arm, Heard]], before: int, after: int, policy: Policy = POLICY, **more: object
) -> tuple[str, ...]:
    given_ = {"execution_enabled": True, "enabled_at": None} | more
    closed = {trigger.lane: T0 + HOUR for trigger in policy.triggers}
    return silent(policy, told, closed, lambda arm, since, until: (before, after), **given_)  # type: ignore[arg-type]


def of(name: str, outcomes: int, last: datetime = T0, arm: Arm = Arm.ASSISTANT) -> dict[str, dict[Arm, Heard]]:
    return {name: {arm: Heard(outcomes, last)}}


def test_what_was_heard_adds_up_per_stage_trigger_and_arm() -> None:
    first = heard_after(None, 1, T0, [reading("csat_drop", 3, 5, rated=True), reading("csat_drop", 9, 9, "eu")])
    second = heard_after(first, 1, T0 + MINUTE, [reading("csat_drop", 0, 2, rated=True), reading("api", 4, 0)])
    assert first["of"]["csat_drop"] == [[3, T0.isoformat()], [5, T0.isoformat()]], (
        "a state that was handed on is not changed"
    )
    found = heard([{HEARD: second}, {}], 1)
    assert found["csat_drop"] == {Arm.ASSISTANT: Heard(3, T0), Arm.BASELINE: Heard(7, T0 + MINUTE)}
    assert found["api"] == {Arm.ASSISTANT: Heard(4, T0 + MINUTE), Arm.BASELINE: Heard()}
    assert heard([{HEARD: second}], 2) == {}
    third = heard_after(second, 2, T0 + HOUR, [reading("api", 1, 0)])
    assert third == {"stage": 2, "of": {"api": [[1, (T0 + HOUR).isoformat()], [0, None]]}}


def test_it_is_silent_from_twenty_missing_outcomes_on() -> None:
    assert stopped(of("csat_drop", 50), before=100, after=40) == ("csat",)
    assert stopped(of("csat_drop", 50), before=100, after=39) == ()
    assert stopped(of("csat_drop", 50, arm=Arm.BASELINE), before=100, after=40) == ("csat",)


def test_a_quiet_night_a_short_while_and_what_never_was_are_no_silence() -> None:
    assert stopped(of("csat_drop", 5_000), before=100, after=0) == ()
    recent = T0 + HOUR - timedelta(seconds=POLICY.watch.freshness_seconds - 1)
    assert stopped(of("csat_drop", 5_000, recent), before=100, after=1_000) == ()
    assert stopped({"csat_drop": {Arm.ASSISTANT: Heard()}}, before=100, after=1_000) == ()
    assert stopped({}, before=100, after=1_000) == ()


def test_what_people_did_themselves_is_no_silence() -> None:
    calls = of("api", 100)
    assert stopped(calls, 100, 100) == ("api_error_rate",)
    assert stopped(calls, 100, 100, execution_enabled=False) == ()
    assert stopped(calls, 100, 100, enabled_at=T0 + HOUR - MINUTE) == ()
    assert stopped(calls, 100, 100, muted={"api"}) == ()


def test_a_judge_may_go_back_to_its_base_rate() -> None:
    judged = of("ungrounded", 100)
    base = POLICY.judge.sample_base / POLICY.judge.sample_alert
    assert stopped(judged, 100, round(20 / base) - 1) == ()
    assert stopped(judged, 100, round(20 / base) + 1) == ("hallucination_rate",)


def test_every_trigger_that_acts_is_asked_for() -> None:
    assert unheard(POLICY, "eligible", {}) == ("api", "csat_drop", "ungrounded")
    told = of("csat_drop", 1) | of("api", 1)
    assert unheard(POLICY, "eligible", told) == ("csat_drop", "ungrounded"), "the control was not heard"
    assert unheard(POLICY, "employees", told) == ("ungrounded",), "employees have no control"


def rollout(state: RolloutState, reason: str = "go") -> Rollout:
    return Rollout("r", "v1", "h", state, "ramp", 0, 0.5, True, POLICY.hash, 3, T0, T0, reason)


@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.COMPLETE])
def test_it_holds_and_is_released_when_the_data_is_back(state: RolloutState) -> None:
    decision = decide(rollout(state), POLICY, (), Situation(T0, True, silent=("csat",)))
    assert decision is not None
    assert (decision.event, decision.trigger) == ("hold", None)
    assert decision.reason.endswith("nothing is heard of csat")
    held = rollout(RolloutState.HELD, decision.reason)
    assert decide(held, POLICY, (), Situation(T0, True, silent=("csat",))) is None
    assert decide(held, POLICY, (), Situation(T0, False)) is None
    back = decide(held, POLICY, (), Situation(T0, True))
    assert back is not None
    assert back.event == "resume"
    people = rollout(RolloutState.HELD, f"{silent_reason(['csat'])} (ana)")
    assert decide(people, POLICY, (), Situation(T0, True)) is None, "a person's hold is a person's to release"


def test_harm_comes_before_silence() -> None:
    both = Situation(T0, True, latched=frozenset({("csat_drop", "all")}), silent=("csat",))
    decision = decide(rollout(RolloutState.RUNNING), POLICY, (), both)
    assert decision is not None
    assert decision.event == "rollback"
    held = rollout(RolloutState.HELD, silent_reason(["csat"]))
    fired = decide(held, POLICY, (), Situation(T0, True, latched=frozenset({("csat_drop", "all")})))
    assert fired is not None
    assert fired.event == "rollback"


@given(
    outcomes=st.integers(0, 10_000),
    before=st.integers(0, 10_000),
    after=st.integers(0, 10_000),
    quiet=st.integers(0, 7_200),
)
def test_only_what_is_missing_in_number_and_time_is_silent(outcomes: int, before: int, after: int, quiet: int) -> None:
    told = of("csat_drop", outcomes, T0 + HOUR - timedelta(seconds=quiet))
    found = stopped(told, before, after)
    missing = before > 0 and outcomes * after >= 20 * before
    assert bool(found) == (missing and quiet >= POLICY.watch.freshness_seconds)


def test_void_blocks_from_before_a_resumption_are_no_silence() -> None:
    told = of("csat_drop", 50)
    assert stopped(told, 100, 100) == ("csat",)
    assert stopped(told, 100, 100, resumed_at=T0 + HOUR - MINUTE) == ()
    assert stopped(told, 100, 100, resumed_at=T0 + MINUTE) == ("csat",), "nor does the grace last"
