"""A policy that changes while a rollout runs: evidence, weight and the promise over any sequence of changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import exp, log
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import Block, Lane, StageEvent, closable, lanes
from controlplane.core.evidence import WeightAccount, WeightPlan
from controlplane.core.model import BlockCounts, MetricKind, RolloutState, TriggerReading, Verdict
from controlplane.core.policy import Policy, parse
from controlplane.core.policy_switch import (
    BUDGETS,
    CHECKS,
    POLICY,
    RETIRED,
    SINCE,
    TRIGGERS,
    all_lanes,
    begun,
    is_under,
    replanned,
    switch,
    unaffordable,
    under,
)
from controlplane.core.policy_switch import (
    promised as bound,
)
from controlplane.core.streams import streams_of
from controlplane.core.triggers import BEFORE_POLICY, latched, step_lane

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HEAD = """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
phases = [{ name = "one", audience = "eligible", shares = [0.5] }]
[budget]
false_rollback = %(budget)g
horizon_weeks = %(weeks)g
[watch]
segments = [%(segments)s]
"""
METRICS = {"a": ("api_error_rate", "one_sample"), "b": ("escalation_rate", "two_sample"), "c": ("csat", "rating")}
METRICS |= {"d": ("timeout_rate", "one_sample")}


def policy(
    limits: Mapping[str, float], *, budget: float = 0.01, weeks: float = 1, segments: str = "", more: str = ""
) -> Policy:
    """A policy with triggers of these names and limits, and equal weights."""
    text = HEAD % {"budget": budget, "weeks": weeks, "segments": segments}
    for name, limit in limits.items():
        metric, kind = METRICS[name]
        text += f'[[triggers]]\nname = "{name}"\nmetric = "{metric}"\nkind = "{kind}"\nlimit = {limit}\n'
        text += f'weight = {1 / len(limits)}\naction = "hold"\n'
    certificate = '[[certificates]]\nname = "sure"\nmetric = "escalation_rate"\nkind = "two_sample"\nmargin = 0.05\n'
    return parse(text + certificate + more)


OLD = policy({"a": 0.05, "b": 0.02})


def block(number: int, **known: Any) -> Block:
    return Block(T0 + number * MINUTE, T0 + (number + 1) * MINUTE, 1, number == 0, **known)


def bad(name: str, segment: str, number: int) -> BlockCounts:
    metric, kind = METRICS[name] if name in METRICS else METRICS["b"]
    values: dict[str, Any] = {"n_t": 200, "x_t": 40, "n_c": 200, "x_c": 9}
    if kind == MetricKind.RATING:
        values = {"k_t": (50, 10, 10, 20, 110), "k_c": (5, 10, 15, 60, 110)}
    return BlockCounts(metric, segment, T0 + number * MINUTE, 60, **values)


def lived(
    found: Policy, states: Mapping[str, Any], first: int, last: int, **known: Any
) -> tuple[dict[str, Any], list[TriggerReading]]:
    """All lanes of triggers through blocks [first, last), as if harm were everywhere."""
    after, readings = {key: dict(state) for key, state in (begun(found, states) | dict(states)).items()}, []
    for lane in lanes(found):
        state = after.get(lane.key, {})
        for number in range(first, last):
            counts = {(t.name, s): bad(t.name, s, number) for t in lane.triggers for s in found.segments_of(t)}
            counts |= {(item.name, "all"): bad("b", "all", number) for item in lane.certificates}
            more = known if number == first else {}
            done = step_lane(found, lane, json.loads(json.dumps(state)), block(number, **more), counts)
            state = done.state
            readings += done.readings
        after[lane.key] = under(found, state)
    return after, readings


def stream(states: Mapping[str, Any], key: str) -> dict[str, Any]:
    (found,) = [state[key] for state in states.values() if key in state]
    return found


def promised(states: Mapping[str, Any], pool: str = TRIGGERS) -> float:
    """What running streams owe and may risk, plus what those that have gone had risked."""
    mine = [state for lane, state in states.items() if lane.startswith(CHECKS) == (pool == CHECKS)]
    streams = [one for state in mine for key, one in state.items() if key.startswith("trigger:")]
    gone = [row for state in states.values() for row in state.get(RETIRED, ())]
    return sum(one["alpha"] + one.get("owed", 0) for one in streams) + sum(
        row["risked"] for row in gone if row["pool"] == pool
    )


def risked_by(readings: list[TriggerReading], before: Mapping[str, Any]) -> float:
    """Alpha x weight, block by block, as the readings show it: counted without the engine's own books. Checks have none here."""
    spent = {
        key: one["account"]["spent"]
        for state in before.values()
        for key, one in state.items()
        if key.startswith("trigger:")
    }
    total = 0.0
    for reading in readings:
        key = f"trigger:{reading.trigger}|{reading.segment}"
        total += exp(-reading.log_threshold) * (reading.weight_spent - spent.get(key, 0.0))
        spent[key] = reading.weight_spent
    return total


def at(number: int) -> datetime:
    return T0 + number * MINUTE


def test_the_same_test_keeps_its_evidence_and_draws_the_weight_of_a_deploy() -> None:
    states, _ = lived(OLD, {}, 0, 5)
    new = policy({"a": 0.05, "b": 0.03})
    assert not is_under(states, new)
    switched = switch(states, new, at(5))
    assert is_under(switched, new)
    kept, old = stream(switched, "trigger:a|all"), stream(states, "trigger:a|all")
    assert {name: kept[name] for name in ("log_r", "climb", "account", "control")} == {
        name: old[name] for name in ("log_r", "climb", "account", "control")
    }
    after, _ = lived(new, switched, 5, 6, policies=1)
    assert stream(after, "trigger:a|all")["account"]["deploys"] == old["account"]["deploys"] + 1


def test_another_limit_begins_with_no_evidence_but_with_the_spent_weight() -> None:
    states, _ = lived(OLD, {}, 0, 5)
    switched = switch(states, policy({"a": 0.06, "b": 0.02}), at(5))
    changed, old = stream(switched, "trigger:a|all"), stream(states, "trigger:a|all")
    assert changed["log_r"] == [None] * len(changed["log_r"])
    assert changed["account"] == old["account"]
    assert changed["account"]["spent"] > 0


def test_blocks_that_had_opened_before_are_void_for_what_has_changed() -> None:
    """A limit may have been chosen by looking at them."""
    states, _ = lived(OLD, {}, 0, 3)
    new = policy({"a": 0.01, "b": 0.02})
    switched = switch(states, new, at(5))
    after, readings = lived(new, switched, 3, 7)
    changed = [r for r in readings if r.trigger == "a"]
    assert [r.reason == BEFORE_POLICY for r in changed] == [True, True, False, False]
    assert [r.verdict for r in changed[:2]] == [Verdict.NO_DATA] * 2
    assert [r.weight_spent for r in changed[:2]] == [stream(states, "trigger:a|all")["account"]["spent"]] * 2
    assert not any(r.reason == BEFORE_POLICY for r in readings if r.trigger == "b")
    assert changed[-1].fired
    assert stream(after, "trigger:a|all")["from"] is not None


def test_what_had_fired_stays_latched_unless_it_is_gone() -> None:
    states, _ = lived(OLD, {}, 0, 8)
    assert latched(states.values()) == {("a", "all"), ("b", "all")}, "harm was everywhere"
    assert latched(switch(states, policy({"a": 0.06, "b": 0.02}), at(8)).values()) == {("a", "all"), ("b", "all")}
    assert latched(switch(states, policy({"b": 0.02}), at(8)).values()) == {("b", "all")}


def test_certificates_begin_again_and_know_nothing_of_before() -> None:
    states, _ = lived(OLD, {}, 0, 3)
    switched = switch(states, policy({"a": 0.06, "b": 0.02}), at(5))
    certificate = switched["60s+0s"]["certificate:sure"]
    assert set(certificate["log_product"]) == {0.0}
    after, _ = lived(policy({"a": 0.06, "b": 0.02}), switched, 3, 5)
    assert after["60s+0s"]["certificate:sure"] == certificate


def test_a_threshold_never_falls() -> None:
    states, _ = lived(OLD, {}, 0, 2)
    alone = policy({"a": 0.05})  # all the weight now
    switched = switch(states, alone, at(2))
    assert stream(switched, "trigger:a|all")["alpha"] == stream(states, "trigger:a|all")["alpha"]
    _, readings = lived(alone, switched, 2, 3)
    assert readings[-1].log_threshold == pytest.approx(-log(stream(states, "trigger:a|all")["alpha"]))
    back = switch(lived(alone, switched, 2, 3)[0], OLD, at(3))
    assert stream(back, "trigger:a|all")["alpha"] == stream(states, "trigger:a|all")["alpha"]


def test_a_trigger_that_goes_leaves_what_it_has_risked_and_the_new_one_gets_the_rest() -> None:
    whole = {"budget": 0.01, "segments": '"x"'}  # with a segment the whole budget is given out
    old = policy({"a": 0.05, "b": 0.02}, **whole)
    states, _ = lived(old, {}, 0, 40)
    new = policy({"a": 0.05, "d": 0.05}, **whole)
    switched = switch(states, new, at(40))
    assert promised(switched) <= 0.01 * (1 + 1e-9)
    rows = [row for state in switched.values() for row in state.get(RETIRED, ()) if row["pool"] == TRIGGERS]
    assert {row["stream"] for row in rows} == {"trigger:b|all", "trigger:b|x"}
    assert stream(switched, "trigger:d|all")["alpha"] < new.alpha(new.triggers[1], "all")
    again = switch(lived(new, switched, 40, 41)[0], old, at(41))
    gone = [row["stream"] for state in again.values() for row in state.get(RETIRED, ()) if row["pool"] == TRIGGERS]
    assert sorted(gone) == ["trigger:b|all", "trigger:b|x", "trigger:d|all", "trigger:d|x"]
    assert promised(again) <= 0.01 * (1 + 1e-9)


NAMES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0.02, 0.05, 0.1]), min_size=1)
POLICIES = st.builds(
    policy,
    NAMES,
    budget=st.sampled_from([0.001, 0.01, 0.05]),
    weeks=st.sampled_from([0.5, 1, 10]),
    segments=st.sampled_from(["", '"x"', '"x", "y"']),
    more=st.sampled_from(["", "[validity]\naa_shadow = false\n", "[validity]\nresponse_margin = 0.0\n"]),
)


@settings(max_examples=60, deadline=None)
@given(found=st.lists(POLICIES, min_size=2, max_size=5), spans=st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_no_sequence_of_policies_breaks_the_smallest_promise(found: list[Policy], spans: list[int]) -> None:
    """After every change: the budget holds, no alpha has risen, no weight has come back, no account is overdrawn.

    And what was risked on the way, alpha x weight in every block as the readings show it, never passes what is promised on record.
    """
    states, readings = lived(found[0], {}, 0, 1)
    number, smallest = 1, found[0].budget.false_rollback
    risked = risked_by(readings, {})
    for new, span in zip(found[1:], spans, strict=False):
        before = states
        refused = unaffordable(before, new)
        states = before if new.hash == found[0].hash and is_under(before, new) else switch(before, new, at(number))
        smallest = min(smallest, new.budget.false_rollback)
        on_record = {state[BUDGETS][TRIGGERS] for state in states.values()}
        assert len(on_record) == 1
        assert promised(states) <= min(on_record) * (1 + 1e-9)
        if refused is None:
            assert min(on_record) <= smallest * (1 + 1e-6), (
                "what is promised is restated only where a change should be refused"
            )
        smallest = max(smallest, *on_record)
        assert promised(states, CHECKS) <= 0.01 * (1 + 1e-6)
        wanted = {s.key: s for lane in all_lanes(new) for s in streams_of(new, lane)}
        assert {key for state in states.values() for key in state if key.startswith("trigger:")} == set(wanted)
        for key, one in ((k, v) for state in states.values() for k, v in state.items() if k.startswith("trigger:")):
            assert 0 < one["alpha"] <= wanted[key].alpha * (1 + 1e-12)
            old = [state[key] for state in before.values() if key in state]
            if old:
                assert one["alpha"] <= old[0].get("alpha", 1)
                assert 1 >= one["account"]["spent"] >= old[0]["account"]["spent"] - 1e-12
        begun_with = states
        states, readings = lived(new, states, number, number + span, policies=1)
        risked, number = risked + risked_by(readings, begun_with), number + span
        assert risked <= min(on_record) * (1 + 1e-6)


def late_in_life(found: Policy, spent: float) -> dict[str, Any]:
    """States whose streams have drawn blocks worth `spent` of their weight."""
    states = lived(found, {}, 0, 1)[0]
    for state in states.values():
        for key, one in state.items():
            if key.startswith("trigger:"):
                blocks = int(2 * spent * one["account"]["horizon"])
                account = WeightAccount(WeightPlan(horizon_blocks=one["account"]["horizon"]), 1, 0, blocks)
                one["account"] |= {"starts": 1, "blocks": blocks, "spent": account.spent}
    return states


def test_a_policy_that_promises_less_than_was_risked_already_is_refused_and_else_restated() -> None:
    old = policy({"a": 0.05, "b": 0.02}, budget=0.05, segments='"x"')
    states = late_in_life(old, 0.3)
    new = policy({"a": 0.05, "b": 0.02}, budget=0.001, segments='"x"')
    said = unaffordable(states, new)
    assert said is not None
    assert "budget.false_rollback" in said
    assert "0.001" in said
    forced = switch(states, new, at(5))
    assert all(state[BUDGETS][TRIGGERS] > 0.01 for state in forced.values()), "the record says what is kept instead"
    assert promised(forced) == pytest.approx(forced["60s+0s"][BUDGETS][TRIGGERS], rel=1e-6)
    assert bound(forced.values(), new) == forced["60s+0s"][BUDGETS][TRIGGERS]
    assert unaffordable(lived(old, {}, 0, 1)[0], policy({"a": 0.05, "b": 0.02}, budget=0.04, segments='"x"')) is None


def test_a_stream_to_which_nothing_is_left_is_refused() -> None:
    """Two triggers have used nearly all; others in their place could hardly ever fire."""
    old = policy({"a": 0.05, "b": 0.02}, segments='"x"')
    states = late_in_life(old, 0.4999)
    for state in states.values():
        for key, one in state.items():
            if key.startswith("trigger:"):
                one["account"] |= {"starts": 40, "deploys": 40}
                plan = WeightPlan(horizon_blocks=one["account"]["horizon"])
                one["account"]["spent"] = WeightAccount(plan, 40, 40, one["account"]["blocks"]).spent
    said = unaffordable(states, policy({"c": 0.3, "d": 0.02}, segments='"x"'))
    assert said is not None
    assert "stream c (all)" in said
    assert (
        unaffordable(states, policy({"a": 0.05, "b": 0.02}, segments='"x"', more="[validity]\naa_shadow = false\n"))
        is None
    )


def test_what_was_risked_at_a_higher_alpha_stays_owed() -> None:
    """A trigger that lost its weight in favour of another has risked the old alpha so far: the promise of its alarm says so."""
    old, new = policy({"a": 0.05}, segments='"x"'), policy({"a": 0.05, "d": 0.05}, segments='"x"')
    states = late_in_life(old, 0.4)
    before = stream(states, "trigger:a|all")
    switched = switch(states, new, at(5))
    after = stream(switched, "trigger:a|all")
    assert after["alpha"] < before["alpha"]
    fall = before["alpha"] - after["alpha"]
    assert after["owed"] == pytest.approx(fall * before["account"]["spent"])
    _, readings = lived(new, switched, 5, 6, policies=1)
    said = next(r for r in readings if (r.trigger, r.segment) == ("a", "all"))
    assert said.owed == pytest.approx(after["owed"])
    freed = fall * (1 - before["account"]["spent"])  # of this segment; the other one frees as much
    assert stream(switched, "trigger:d|all")["alpha"] == pytest.approx(freed, rel=1e-3)


@given(
    blocks=st.integers(0, 1000), old=st.integers(1000, 100_000), new=st.integers(1, 100_000), starts=st.integers(0, 9)
)
def test_an_account_over_another_horizon_has_spent_at_least_as_much(
    blocks: int, old: int, new: int, starts: int
) -> None:
    account = WeightAccount(WeightPlan(horizon_blocks=old), starts=starts, blocks=blocks)
    after = replanned(account, WeightPlan(horizon_blocks=new))
    assert account.spent - 1e-12 <= after.spent <= 1
    assert after.spent <= account.spent + 0.5 / new + 1e-12  # by one block at most


def test_a_lane_with_other_blocks_begins_at_the_change_and_the_old_one_keeps_nothing() -> None:
    states, _ = lived(OLD, {}, 0, 3)
    slower = policy({"a": 0.05, "b": 0.02}).text.replace(
        'metric = "api_error_rate"', 'metric = "api_error_rate"\nblock_seconds = 300'
    )
    new = parse(slower)
    switched = switch(states, new, T0 + timedelta(seconds=200.5))
    assert switched["300s+0s"][SINCE] == (T0 + timedelta(seconds=201)).isoformat()
    assert SINCE not in switched["60s+0s"], "its pending blocks are still its own"
    moved = switched["300s+0s"]["trigger:a|all"]
    assert moved["log_r"] == [None] * len(moved["log_r"])
    assert moved["account"]["spent"] >= stream(states, "trigger:a|all")["account"]["spent"]
    back = switch(switched, OLD, at(20))
    assert set(back["300s+0s"]) <= {"fired", "last", POLICY, BUDGETS, RETIRED}
    assert back["60s+0s"]["last"] == states["60s+0s"]["last"]


def events(*minutes: tuple[float, str]) -> list[StageEvent]:
    return [
        StageEvent(n + 1, name, RolloutState.RUNNING, T0 + minute * MINUTE, 0.5)
        for n, (minute, name) in enumerate(minutes)
    ]


def starts(found: list[Block]) -> list[tuple[float, float, int, bool, int]]:
    return [
        ((b.start - T0) / MINUTE, (b.end - T0) / MINUTE, b.stage_version, b.starts_stage, b.policies) for b in found
    ]


def lane_of(seconds: int) -> Lane:
    return Lane("x", timedelta(seconds=seconds), timedelta(0), (), ())


def test_a_change_of_the_policy_cuts_the_grid_and_not_the_stage() -> None:
    found = closable(events((0, "start"), (2.5, "policy")), lane_of(60), None, T0 + 5 * MINUTE)
    assert starts(found) == [
        (0, 1, 1, True, 0),
        (1, 2, 1, False, 0),
        (2, 2.5, 1, False, 0),
        (2.5, 3.5, 1, False, 1),
        (3.5, 4.5, 1, False, 0),
    ]


def test_the_change_is_known_to_the_first_block_behind_it_however_they_are_closed() -> None:
    history = events((0, "start"), (2.5, "policy"), (4, "promote"), (4.2, "policy"))
    at_once = closable(history, lane_of(60), None, T0 + 9 * MINUTE)
    last, single = None, []
    for minute in range(10):
        found = closable(history, lane_of(60), last, T0 + minute * MINUTE)
        single += found
        last = found[-1] if found else last
    assert single == at_once
    assert sum(one.policies for one in at_once) == 2


def test_a_lane_of_the_new_policy_has_no_block_before_it() -> None:
    found = closable(events((0, "start"), (2.5, "policy")), lane_of(60), None, T0 + 5 * MINUTE, since=T0 + 2.5 * MINUTE)
    assert starts(found)[0] == (2.5, 3.5, 1, True, 1)
