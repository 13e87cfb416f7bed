"""After the completion each quarter is a new account: no evidence, nothing spent, a promise of its own, known from the history alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import exp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import (
    QUARTER,
    Block,
    LetGo,
    StageEvent,
    closable,
    completed_at,
    lanes,
    quarter_of,
)
from controlplane.core.evidence import Counts, DetectorState, Events, StreamSpec, WeightPlan, step
from controlplane.core.model import BlockCounts, RolloutState, TriggerReading
from controlplane.core.policy import Policy
from controlplane.core.policy_switch import BUDGETS, RETIRED, TRIGGERS, begun, switch, under
from controlplane.core.streams import streams_of
from controlplane.core.triggers import LaneRun, latched, step_blocks
from tests.core.test_policy_switch import policy
from tests.core.test_policy_switch import promised as committed

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DONE = T0 + timedelta(days=10, microseconds=5)  # blocks lie on whole seconds: the first quarter begins a second later
HISTORY = [
    StageEvent(1, "start", RolloutState.RUNNING, T0, 0.5),
    StageEvent(2, "promote", RolloutState.COMPLETE, DONE, 0.9),
]
POLICY = policy({"a": 0.05, "b": 0.02}, weeks=2)
(LANE,) = lanes(POLICY)


def block(hours: int, first: bool = False, **known: Any) -> Block:
    start = T0 + hours * HOUR
    quarter = quarter_of(completed_at(HISTORY), start)
    return Block(start, start + timedelta(minutes=1), 1, first, quarter=quarter, **known)


def counts(at: Block, bad: int) -> dict[tuple[str, str], BlockCounts]:
    head = ("all", at.start, 60)
    return {
        ("a", "all"): BlockCounts("api_error_rate", *head, n_t=100, x_t=5 + bad),
        ("b", "all"): BlockCounts("escalation_rate", *head, n_t=100, x_t=9 + bad, n_c=100, x_c=9),
        ("sure", "all"): BlockCounts("escalation_rate", *head, n_t=100, x_t=9 + bad, n_c=100, x_c=9),
    }


def read(
    blocks: Sequence[Block], bad: Sequence[int], found: Policy = POLICY, state: Any = None, **more: Any
) -> LaneRun:
    begin = begun(found, {})[LANE.key] if state is None else state
    rows = [counts(one, harm) for one, harm in zip(blocks, bad, strict=True)]
    (lane,) = lanes(found)
    return step_blocks(found, lane, begin, blocks, rows, **more)


def of(run: LaneRun, name: str) -> list[TriggerReading]:
    return [one for row in run.readings for one in row if one.trigger == name]


def test_quarters_are_counted_from_the_completion() -> None:
    done = completed_at(HISTORY)
    assert done == T0 + 10 * DAY + timedelta(seconds=1)
    assert completed_at(HISTORY[:1]) is None
    assert quarter_of(None, T0 + 900 * DAY) == 0
    second = timedelta(seconds=1)
    assert [
        quarter_of(done, done + late) for late in (-second, 0 * second, QUARTER - second, QUARTER, 2 * QUARTER)
    ] == [
        0,
        1,
        1,
        2,
        3,
    ]


def test_a_hold_and_a_resumption_after_the_completion_do_not_move_the_quarters() -> None:
    later = [
        StageEvent(3, "hold", RolloutState.HELD, DONE + 20 * DAY, 0.9),
        StageEvent(4, "resume", RolloutState.COMPLETE, DONE + 21 * DAY, 0.9),
    ]
    assert completed_at([*HISTORY, *later]) == completed_at(HISTORY)


def test_blocks_know_their_quarter_in_bulk_and_one_by_one() -> None:
    end = DONE + QUARTER + 3 * DAY
    lane = lanes(parse_hourly())[0]
    at_once = closable(HISTORY, lane, None, end, limit=10_000)
    last, single = None, []
    for day in range(0, (end - T0).days, 7):
        found = closable(HISTORY, lane, last, T0 + day * DAY)
        single += found
        last = found[-1] if found else last
    assert single == at_once[: len(single)]
    begins = [one.start for one, before in zip(at_once[1:], at_once, strict=False) if one.quarter != before.quarter]
    done = completed_at(HISTORY)
    assert done is not None
    assert begins == [done, done + QUARTER]
    assert [one.starts_stage for one in at_once if one.start in begins] == [True, False]


def parse_hourly() -> Policy:
    text = POLICY.text.replace("margin = 0.05", "margin = 0.05\nblock_seconds = 3600")
    from controlplane.core.policy import parse

    return parse(text.replace("limit =", "block_seconds = 3600\nlimit ="))


DAYS = st.lists(st.integers(1, 24 * 300), min_size=2, max_size=14, unique=True).map(sorted)


@settings(max_examples=60, deadline=None)
@given(hours=DAYS, harm=st.lists(st.integers(0, 12), min_size=14, max_size=14))
def test_every_quarter_is_what_a_fresh_stream_reads(hours: list[int], harm: list[int]) -> None:
    """Against the engine called directly with a new state per quarter, that knows of the control what was learned before."""
    blocks = [block(hour, first=n == 0) for n, hour in enumerate(hours)]
    got = of(read(blocks, harm[: len(blocks)]), "b")
    (stream,) = [s for s in streams_of(POLICY, LANE) if s.name == "b"]
    spec = StreamSpec(stream.kind, stream.limit, stream.alpha)
    state, quarter = DetectorState.fresh(spec, stream.plan), 0
    for one, bad, reading in zip(blocks, harm, got, strict=False):
        starts = one.starts_stage
        if one.quarter != quarter:
            known = state.control
            plan = WeightPlan(horizon_blocks=13 * 7 * 24 * 60)
            state, quarter, starts = DetectorState.fresh(spec, plan), one.quarter, True
            state = DetectorState(**{n: getattr(state, n) for n in state.__dataclass_fields__} | {"control": known})
        index = (one.start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        state, said = step(spec, state, index, Counts(100, 9 + bad, 100, 9), Events(stage_starts=int(starts)))
        assert reading.log_e == pytest.approx(said.log_E, abs=1e-12)
        assert (reading.weight_spent, reading.quarter) == (pytest.approx(said.spent, abs=1e-15), one.quarter)
        assert reading.log_threshold == spec.log_threshold


@settings(max_examples=40, deadline=None)
@given(hours=DAYS, harm=st.lists(st.integers(0, 12), min_size=14, max_size=14), cuts=st.sets(st.integers(1, 13)))
def test_in_bulk_or_after_restarts_the_same(hours: list[int], harm: list[int], cuts: set[int]) -> None:
    """Blocks closed all at once, or in parts with the state stored in between as JSON, read alike."""
    blocks = [block(hour, first=n == 0) for n, hour in enumerate(hours)]
    whole = read(blocks, harm[: len(blocks)])
    state, parts, begin = None, [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(blocks)), len(blocks)]:
        run = read(blocks[begin:end], harm[begin:end], state=state)
        state, begin = json.loads(json.dumps(run.state)), end
        parts += run.readings
    assert tuple(parts) == whole.readings
    assert state == json.loads(json.dumps(whole.state))


@settings(max_examples=60, deadline=None)
@given(hours=DAYS, resumed=st.integers(0, 24 * 300), harm=st.lists(st.integers(0, 40), min_size=14, max_size=14))
def test_no_quarter_spends_more_than_its_account(hours: list[int], resumed: int, harm: list[int]) -> None:
    """Weight is counted from the readings, also where a person resumes: within a quarter it only rises, up to 1."""
    moment = T0 + resumed * HOUR
    blocks = []
    for n, hour in enumerate(hours):
        opened = hours[n - 1] if n else -1
        blocks.append(block(hour, first=n == 0, resumes=int(opened < resumed <= hour)))
    run = read(blocks, harm[: len(blocks)], released=LetGo(resumed_at=moment))
    for name in ("a", "b"):
        spent, quarter = 0.0, 0
        for one in of(run, name):
            before = spent if one.quarter == quarter else 0.0
            assert before <= one.weight_spent <= 1
            if one.quarter != quarter:
                assert one.weight_spent < 0.2, "a quarter begins with the weight of a start and of one block"
            spent, quarter = one.weight_spent, one.quarter


def test_a_quarter_begins_with_no_evidence_and_what_has_fired_stays_latched() -> None:
    done = completed_at(HISTORY)
    blocks = [block(24 * day, first=day == 1) for day in (1, 2, 11, 12, 110, 111)]
    assert [one.quarter for one in blocks] == [0, 0, 1, 1, 2, 2]
    run = read(blocks, [30, 30, 0, 0, 0, 0])
    fired = [one.fired for one in of(run, "a")]
    assert fired == [True, True, False, False, False, False]
    third = of(run, "a")[2]
    assert exp(third.log_e) < 1, "with the evidence of before it would be far over"
    assert latched([run.state]) >= {("a", "all")}, "nothing but a person lets go"
    assert done is not None
    resumed = done + 100 * DAY + HOUR
    after = read([block(24 * 112 + 2, resumes=1)], [0], state=run.state, released=LetGo(resumed_at=resumed))
    assert latched([after.state]) == frozenset()
    again = of(after, "a")[0]
    assert (again.quarter, again.weight_spent > of(run, "a")[-1].weight_spent) == (2, True), (
        "the quarter's account goes on"
    )


def test_a_silent_quarter_costs_nothing_and_the_next_begins_all_the_same() -> None:
    blocks = [block(24 * day, first=day == 1) for day in (1, 11, 400)]
    assert [one.quarter for one in blocks] == [0, 1, 5]
    assert [one.quarter for one in of(read(blocks, [0, 0, 0]), "b")] == [0, 1, 5]


def at_quarter(day: int, state: Any, harm: int = 0) -> dict[str, Any]:
    run = read([block(24 * day), block(24 * day + 1)], [harm, harm], state=state)
    return {LANE.key: under(POLICY, run.state)}


def test_a_change_of_the_policy_is_paid_by_the_quarter_it_falls_in() -> None:
    """What the rollout had risked before its completion is no debt of the quarter; what the quarter has risked is."""
    states = begun(POLICY, {}) | at_quarter(1, None)
    states |= at_quarter(20, states[LANE.key])
    other = policy({"a": 0.05, "d": 0.05}, weeks=2)
    changed = T0 + 30 * DAY
    switched = switch(states, other, changed, quarter_of(completed_at(HISTORY), changed))
    rows = [row for state in switched.values() for row in state.get(RETIRED, ())]
    assert {row["quarter"] for row in rows} == {1}
    assert committed(switched) <= 0.01 * (1 + 1e-9)
    new = switched[LANE.key]["trigger:d|all"]
    assert (new["quarter"], new["account"]["horizon"]) == (1, 13 * 7 * 24 * 60)
    back = switch(switched, POLICY, T0 + 140 * DAY, 2)
    assert not [row for state in back.values() for row in state.get(RETIRED, ()) if row["stream"] == "trigger:b|all"]


def test_alpha_is_the_policys_again_in_the_next_quarter_unless_that_was_given_out() -> None:
    states = begun(POLICY, {}) | at_quarter(20, None)
    whole = states[LANE.key]["trigger:a|all"]["alpha"]
    smaller = policy({"a": 0.05, "b": 0.02, "c": 0.3}, weeks=2)
    changed = switch(states, smaller, T0 + 30 * DAY, 1)
    assert changed[LANE.key]["trigger:a|all"]["alpha"] < whole
    back = switch(changed, POLICY, T0 + 40 * DAY, 1)
    assert back[LANE.key]["trigger:a|all"]["alpha"] == changed[LANE.key]["trigger:a|all"]["alpha"], (
        "never back within a quarter"
    )
    next_one = read([block(24 * 110)], [0], state=back[LANE.key]).state
    assert next_one["trigger:a|all"]["alpha"] == whole
    assert next_one[BUDGETS][TRIGGERS] == POLICY.budget.false_rollback
    given_out = switch(changed, POLICY, T0 + 102 * DAY, 2)  # the lane is still to read the quarter before
    late = read([block(24 * 110)], [0], state=given_out[LANE.key]).state
    assert late["trigger:a|all"]["alpha"] == changed[LANE.key]["trigger:a|all"]["alpha"]
    assert late["trigger:a|all"]["quarter"] == 2
