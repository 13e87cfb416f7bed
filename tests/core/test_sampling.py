"""One rate for all answers of a block, and never by what the block itself holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import StageEvent
from controlplane.core.evidence import Counts, DetectorState, StreamSpec, WeightPlan, step
from controlplane.core.model import RolloutState
from controlplane.core.policy import parse
from controlplane.core.policy_model import Judge
from controlplane.core.sampling import (
    Fixing,
    block_start,
    closed_until,
    due,
    grid_seconds,
    log_evidence,
    rate_at,
    sampled,
    wanted_rate,
)
from controlplane.settings import shipped_policy
from tests.bench.sampling_bench import simulate

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
POLICY = parse(shipped_policy("default"), "default.toml")
TRIGGER = next(t for t in POLICY.triggers if t.metric == "hallucination_rate" and t.labels == "any")
KEY = f"trigger:{TRIGGER.name}|all"
RUNNING = RolloutState.RUNNING


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def history(*changes: float) -> list[StageEvent]:
    """A start, and promotions at those minutes."""
    events = [StageEvent(1, "start", RUNNING, START)]
    return events + [StageEvent(2 + i, "promote", RUNNING, at(minute)) for i, minute in enumerate(changes)]


def lane(log_r: list[float | None], end: datetime) -> dict[str, object]:
    last = {"start": (end - timedelta(minutes=1)).isoformat(), "end": end.isoformat(), "version": 1}
    return {KEY: {"log_r": log_r}, "last": last}


def test_the_rate_follows_the_evidence() -> None:
    judge = Judge()
    assert wanted_rate(judge, -inf) == 0.05
    assert wanted_rate(judge, log(0.01) - 1e-9) == 0.05
    assert wanted_rate(judge, log(0.01)) == 1.0
    assert wanted_rate(judge, 50.0) == 1.0
    assert wanted_rate(Judge(sample_base=0.2, sample_alert=0.8, sample_at_evidence=1.0), 0.1) == 0.8


def test_the_evidence_is_that_of_the_detector_on_all_traffic() -> None:
    spec = StreamSpec("one_sample", TRIGGER.limit, 0.001)
    state = DetectorState.fresh(spec, WeightPlan(horizon_blocks=100))
    assert log_evidence(POLICY, [{KEY: state.to_dict()}]) == -inf
    for block in range(5):
        state, reading = step(spec, state, block, Counts(nT=10, xT=3))
        assert log_evidence(POLICY, [{KEY: state.to_dict()}]) == pytest.approx(reading.log_E, abs=1e-12)


def test_segments_and_other_triggers_do_not_count() -> None:
    loud: list[float | None] = [100.0]
    lanes = [{f"trigger:{TRIGGER.name}|retail": {"log_r": loud}, "trigger:api_errors|all": {"log_r": loud}}]
    assert log_evidence(POLICY, lanes) == -inf
    assert closed_until(POLICY, [{**lanes[0], "last": {"end": at(3).isoformat()}}]) is None


def test_the_largest_of_several_triggers_counts_and_their_common_grid() -> None:
    other = replace(TRIGGER, name="hallucination_drift", block_seconds=90)
    policy = replace(POLICY, triggers=(*POLICY.triggers, other))
    lanes = [{KEY: {"log_r": [0.0, 0.0]}}, {"trigger:hallucination_drift|all": {"log_r": [log(4.0), None]}}]
    assert log_evidence(policy, lanes) == pytest.approx(log(2.0))
    assert grid_seconds(policy) == 180
    assert grid_seconds(POLICY) == TRIGGER.block_seconds
    assert grid_seconds(replace(POLICY, triggers=())) is None


def test_a_trigger_on_peoples_labels_does_not_drive_the_judge() -> None:
    audited = replace(TRIGGER, name="hallucination_confirmed", labels="person", block_seconds=900)
    policy = replace(POLICY, triggers=(TRIGGER, audited))
    assert log_evidence(policy, [{"trigger:hallucination_confirmed|all": {"log_r": [9.0]}}]) == -inf
    assert grid_seconds(policy) == TRIGGER.block_seconds
    assert grid_seconds(replace(POLICY, triggers=(audited,))) is None


def test_the_first_fixing_depends_on_the_policy_alone() -> None:
    made = due(POLICY, [lane([5.0], at(2))], history(), [], at(9))
    assert made[0] == Fixing(START, POLICY.judge.sample_base)
    assert (made[1].fixed_at, made[1].rate) == (at(9), POLICY.judge.sample_alert)
    assert due(POLICY, [], [], [], at(9)) == ()


def test_nothing_is_fixed_twice_and_no_clock_goes_back() -> None:
    fixed = [Fixing(START, 0.05), Fixing(at(9), 1.0, 5.0)]
    alarmed = [lane([5.0], at(2))]
    assert due(POLICY, alarmed, history(), fixed, at(10)) == ()
    calm = [lane([-20.0], at(9))]
    assert due(POLICY, calm, history(), fixed, at(9)) == ()
    assert due(POLICY, calm, history(), fixed, at(4)) == ()
    assert due(POLICY, calm, history(), fixed, at(10)) == (Fixing(at(10), 0.05, -20.0),)


def test_a_slow_clock_fixes_from_the_end_of_what_has_closed() -> None:
    (made,) = due(POLICY, [lane([5.0], at(7))], history(), [Fixing(START, 0.05)], at(3))
    assert made.fixed_at == at(7)


def test_a_block_has_the_rate_that_was_fixed_when_it_opened() -> None:
    fixed = [Fixing(START, 0.05), Fixing(at(2.5), 1.0), Fixing(at(4), 0.05)]
    assert [rate_at(fixed, at(minute)) for minute in (0, 1, 2, 3, 4)] == [0.05, 0.05, 0.05, 1.0, 0.05]
    assert rate_at(fixed, at(-1)) is None
    assert rate_at([], at(1)) is None


def test_blocks_lie_on_the_grid_of_their_stage() -> None:
    events = history(2.6)
    assert block_start(events, 60, at(1.5)) == at(1)
    assert block_start(events, 60, at(2.5)) == at(2)
    assert block_start(events, 60, at(2.7)) == at(2.6)
    assert block_start(events, 60, at(4)) == at(3.6)
    assert block_start(events, 60, at(-1)) is None
    cut = [*events, StageEvent(9, "rollback", RolloutState.ROLLED_BACK, at(5))]
    assert block_start(cut, 60, at(5.1)) is None


def test_a_fixing_survives_its_way_through_json() -> None:
    for fixing in (Fixing(START, 0.05), Fixing(at(1), 1.0, 3.25)):
        assert Fixing.from_dict(fixing.to_dict()) == fixing


def test_a_larger_sample_contains_every_smaller_one() -> None:
    ids = [f"i{n}" for n in range(4000)]
    chosen = {rate: {name for name in ids if sampled(name, rate)} for rate in (0.05, 0.25, 1.0)}
    assert chosen[0.05] < chosen[0.25] < chosen[1.0] == set(ids)
    assert len(chosen[0.05]) == pytest.approx(200, abs=60)
    assert not any(sampled(name, 0.0) for name in ids)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=40),
    st.lists(st.floats(0.0, 40.0), max_size=3, unique=True),
    st.integers(0, 4),
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
)
def test_one_rate_in_a_block_and_only_by_the_evidence_of_earlier_blocks(
    counts: list[tuple[int, int]], promotions: list[float], maturity: int, waits: list[int]
) -> None:
    """Whatever is judged, whenever the control process runs: two worlds that agree up to a block agree on its rate."""

    def rates(results: list[tuple[int, int]]) -> dict[datetime, float | None]:
        spec = StreamSpec("one_sample", 0.05, 0.001)
        state = DetectorState.fresh(spec, WeightPlan(horizon_blocks=50))
        fixed: list[Fixing] = []
        events = history(*sorted(promotions))
        known: dict[datetime, float | None] = {}
        closed, minute = 0, 0
        for wait in waits:
            minute += wait
            while closed < len(results) and closed + 1 + maturity <= minute:
                n, x = max(results[closed]), min(results[closed])
                state, _ = step(spec, state, closed, Counts(nT=n, xT=x))
                closed += 1
            lanes = [{KEY: state.to_dict()} | ({"last": {"end": at(closed).isoformat()}} if closed else {})]
            fixed += due(POLICY, lanes, events, fixed, at(minute))
            for seconds in range(0, 60 * minute, 7):  # every answer so far
                opened = block_start(events, 60, START + timedelta(seconds=seconds))
                assert opened is not None
                rate = rate_at(fixed, opened)
                assert known.setdefault(opened, rate) == rate  # a later fixing never changes a block that has opened
        return known

    first = rates(counts)
    assert None not in first.values()
    middle = len(counts) // 2
    other = rates([*counts[:middle], *((8, 8) for _ in counts[middle:])])
    for opened, rate in first.items():
        if opened <= at(middle + maturity):
            assert other[opened] == rate


def test_no_evidence_from_a_block_reaches_its_own_rate() -> None:
    """The reason of the rule: sampling by what a block shows would make a healthy stream fire; the e-value then has a mean above 1."""
    rng = np.random.default_rng(5)
    limit, n = 0.05, rng.binomial(40, 0.05, 20_000)
    g = 3.0

    def e_value(judged: np.ndarray, hits: np.ndarray) -> float:
        return float(np.mean(g**hits * ((1 - g * limit) / (1 - limit)) ** (judged - hits)))

    peeked = np.where(n >= 2, 40, 2)  # judge all where a first look saw harm, else two sound answers
    hits = np.where(n >= 2, n, 0)
    assert e_value(peeked, hits) > 1.2
    assert e_value(np.full(20_000, 40), n) == pytest.approx(1.0, abs=0.1)


def test_a_calm_release_is_judged_little_and_harm_is_found_sooner_than_with_a_fixed_sample() -> None:
    """The real detector on simulated traffic of five answers a minute, limit 2 %, harm of 15 % halfway; `make bench sampling` has the figures."""
    adaptive, fixed = Judge(), Judge(sample_base=0.1, sample_alert=0.1)
    calm = simulate(adaptive, 0.02, 0.01, None, 12, 2000, 3)
    assert 0.05 < calm.judged < 0.16
    assert np.all(calm.delay == -1)
    quick, slow = (np.median(simulate(way, 0.02, 0.01, 0.15, 12, 2000, 4).delay) for way in (adaptive, fixed))
    assert 0 < quick * 1.5 < slow
