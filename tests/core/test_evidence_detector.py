"""The e-detector: equal to the plain recursion, to itself one block at a time, and to itself after a restart from its stored state."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.evidence import (
    Counts,
    DetectorState,
    Events,
    StreamSpec,
    WeightPlan,
    first_alarm,
    step,
    step_many,
)
from controlplane.core.evidence.alarm import week_plan
from controlplane.core.evidence.counts import stack_counts
from controlplane.core.evidence.detector import Reading, Streams, advance, check_stats

PLAN = WeightPlan(horizon_blocks=500)
SPEC = StreamSpec("two_sample", limit=0.01, alpha=0.001)
BAD = Counts(nT=20, xT=12, nC=80, xC=8)
EMPTY = Counts(nC=80, xC=8)


def run(spec, counts, events=(), state=None, first=0):
    """State and readings after one block per entry of `counts`; `events`: block -> Events."""
    state, readings = state or DetectorState.fresh(spec, PLAN), []
    for block, block_counts in enumerate(counts, start=first):
        happened = dict(events).get(block, Events(stage_starts=int(block == 0)))
        state, reading = step(spec, state, block, block_counts, happened)
        readings.append(reading)
    return state, readings


@st.composite
def two_arm_blocks(draw, max_size=25):
    def block():
        n_t, n_c = draw(st.integers(0, 30)), draw(st.integers(0, 60))
        return Counts(n_t, draw(st.integers(0, n_t)), n_c, draw(st.integers(0, n_c)))

    return [block() for _ in range(draw(st.integers(1, max_size)))]


@settings(max_examples=60, deadline=None)
@given(
    two_arm_blocks(), st.sampled_from([SPEC, StreamSpec("rate_ratio", 1.2, 0.01), StreamSpec("one_sample", 0.2, 0.01)])
)
def test_logs_equal_the_plain_recursion(blocks, spec):
    _, readings = run(spec, blocks)
    plain, control = np.zeros(len(spec.bets)), np.zeros(3)
    for counts, reading in zip(blocks, readings, strict=True):
        columns = stack_counts(spec.form, [counts])
        e = np.exp(spec.form.log_e(columns, control[None], spec.limit)[0])
        plain = (plain + reading.weight) * e
        control = control + spec.form.learn(columns)[0]
        with np.errstate(divide="ignore"):
            assert reading.log_E == pytest.approx(np.log(plain.mean()), rel=1e-9, abs=1e-9)
        assert reading.fired == (reading.log_E >= spec.log_threshold)


@settings(max_examples=40, deadline=None)
@given(two_arm_blocks(), st.integers(0, 25))
def test_one_block_at_a_time_equals_all_blocks_at_once(blocks, deploy):
    events = {deploy: Events(int(deploy == 0), 1)}
    state, readings = run(SPEC, blocks, events)
    array = np.array([[int(t == 0), int(t == deploy)] for t in range(len(blocks))])
    columns = {name: values[:, None] for name, values in stack_counts(SPEC.form, blocks).items()}
    streams, track = advance(SPEC, Streams.fresh(SPEC, PLAN, 1), np.arange(len(blocks)), columns, array)
    assert close(streams.unpack([DetectorState.fresh(SPEC, PLAN)], len(blocks) - 1)[0], state)
    assert [reading.weight for reading in readings] == track.weight[:, 0].tolist()
    assert np.array([reading.log_E for reading in readings]) == pytest.approx(track.log_E[:, 0], abs=1e-9)


def close(left, right):
    """States equal to 1e-9 in what is computed with logarithms and exactly in everything else."""
    numbers = [(left.log_r, right.log_r), (left.climb, right.climb)]
    exact = ("kind", "limit", "account", "onset", "control", "waiting", "last_block")
    return all(a == pytest.approx(b, abs=1e-9) for a, b in numbers) and all(
        getattr(left, name) == getattr(right, name) for name in exact
    )


def test_many_streams_in_a_tick_equal_each_stream_alone():
    rng = np.random.default_rng(5)
    specs = [StreamSpec("two_sample", 0.01, alpha) for alpha in (0.001, 0.02, 0.0001)]
    states = [DetectorState.fresh(spec, PLAN) for spec in specs]
    alone = list(states)
    for block in range(30):
        counts = [Counts(20, int(rng.binomial(20, 0.3)), int(n_c), int(rng.binomial(n_c, 0.2))) for n_c in (80, 10, 0)]
        events = Events(stage_starts=int(block == 0), deploys=int(block == 20))
        together = step_many(specs, states, block, counts, events)
        apart = [step(spec, state, block, c, events) for spec, state, c in zip(specs, alone, counts, strict=True)]
        for (state, reading), (state_alone, reading_alone) in zip(together, apart, strict=True):
            assert close(state, state_alone)
            assert reading.log_E == pytest.approx(reading_alone.log_E, abs=1e-9)
            assert (reading.fired, reading.weight, reading.counts) == (
                reading_alone.fired,
                reading_alone.weight,
                reading_alone.counts,
            )
        states, alone = [state for state, _ in together], [state for state, _ in apart]
    assert states[2].account.spent == 0.0  # its control never had a unit


@pytest.mark.parametrize(
    ("kind", "limit", "counts"),
    [
        ("two_sample", 0.01, Counts(20, 9, 80, 17)),
        ("rating", 0.1, Counts(kT=(3, 1, 0, 2, 4), kC=(1, 1, 5, 20, 13))),
        ("one_sample", 0.05, Counts(nT=20, xT=3)),
        ("rate_ratio", 1.0, Counts(200, 3, 1800, 4)),
        ("sample_ratio", 1.0, Counts(nT=30, nC=70, share=0.2)),
    ],
)
def test_a_replay_through_stored_states_is_the_same_to_the_last_bit(kind, limit, counts):
    spec = StreamSpec(kind, limit, 0.01)
    blocks = [Counts(), counts, counts, Counts(), counts]
    straight, readings = run(spec, blocks)
    state, again = DetectorState.fresh(spec, PLAN), []
    for block, block_counts in enumerate(blocks):
        state = DetectorState.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False)))
        state, reading = step(spec, state, block, block_counts, Events(stage_starts=int(block == 0)))
        again.append(Reading.from_dict(json.loads(json.dumps(reading.to_dict(), allow_nan=False))))
    assert state == straight
    assert again == readings
    assert readings[-1].log_E > readings[1].log_E  # these counts are evidence


def test_an_empty_block_changes_no_evidence_and_keeps_the_stage_start_for_later():
    state, readings = run(SPEC, [EMPTY, EMPTY, BAD], {0: Events(1, 1)})
    assert [reading.empty for reading in readings] == [True, True, False]
    assert [reading.weight for reading in readings] == [0.0, 0.0, 0.125 + 0.125 + 0.5 / 500]
    assert readings[1].log_E == -np.inf
    assert readings[1].spent == 0.0
    assert state.waiting == (0, 0)
    assert state.control == (240.0, 24.0, 24.0)  # the control still teaches


def test_r_is_never_reset_by_stages_or_deploys():
    _, with_stage = run(SPEC, [BAD] * 6, {0: Events(1), 3: Events(stage_starts=1, deploys=1)})
    _, without = run(SPEC, [BAD] * 6)
    assert all(a.log_E >= b.log_E for a, b in zip(with_stage, without, strict=True))
    assert [reading.log_E for reading in with_stage[:3]] == [reading.log_E for reading in without[:3]]


def test_weights_go_on_after_the_horizon_at_zero():
    plan = WeightPlan(horizon_blocks=2)
    state = DetectorState.fresh(SPEC, plan)
    for block in range(4):
        state, reading = step(SPEC, state, block, BAD)
    assert (reading.weight, state.account.refused) == (0.0, 2)
    assert np.isfinite(reading.log_E)


def test_the_onset_is_found_near_the_truth():
    rng = np.random.default_rng(11)
    rates = [0.1] * 300 + [0.35] * 60
    blocks = [Counts(20, int(rng.binomial(20, p)), 80, int(rng.binomial(80, 0.1))) for p in rates]
    _, readings = run(SPEC, blocks)
    alarm = next(reading for reading in readings if reading.fired)
    assert alarm.block >= 300
    assert abs(alarm.onset - 300) <= 5
    assert alarm.best_bet in SPEC.bets
    assert readings[0].onset is None or readings[0].onset == 0


def test_blocks_close_once_and_in_order():
    state, _ = run(SPEC, [BAD] * 3)
    for block in (2, 0, -5):
        with pytest.raises(ValueError, match="is not after block 2"):
            step(SPEC, state, block, BAD)
    after, _ = step(SPEC, state, 7, BAD)  # gaps are fine: blocks without exposure do not exist
    assert after.last_block == 7


def test_a_state_is_not_read_with_another_spec():
    state, _ = run(SPEC, [BAD])
    for foreign in (StreamSpec("two_sample", 0.02, 0.001), StreamSpec("rate_ratio", 0.01, 0.001)):
        with pytest.raises(ValueError, match=r"belongs to two_sample at 0\.01"):
            step(foreign, state, 1, BAD)
    with pytest.raises(ValueError, match="group them"):
        step_many([SPEC, SPEC], [state, DetectorState.fresh(SPEC, WeightPlan(9))], 1, [BAD, BAD])
    with pytest.raises(ValueError, match="one of each"):
        step_many([SPEC], [state, state], 1, [BAD])
    with pytest.raises(ValueError, match="below zero"):
        step(SPEC, state, 1, BAD, Events(deploys=-1))
    assert step_many([], [], 0, []) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (("three_sample", 0.1, 0.1), "choose one of two_sample"),
        (("two_sample", -0.01, 0.1), "must not be negative"),
        (("two_sample", 1.0, 0.1), "between -0.999 and 0.999"),
        (("two_sample", float("nan"), 0.1), "limit is nan"),
        (("rating", 4.0, 0.1), "points"),
        (("one_sample", 0.0, 0.1), "safety tripwire"),
        (("one_sample", 0.8, 0.1), "below 0.8"),
        (("rate_ratio", 0.0, 0.1), "above 0"),
        (("sample_ratio", 0.5, 0.1), "leave it at 1"),
        (("one_sample", 0.1, 1.0), "alpha is 1.0"),
    ],
)
def test_impossible_specs_name_the_remedy(spec, message):
    with pytest.raises(ValueError, match=message):
        StreamSpec(*spec)


def test_first_alarm_is_the_scalar_engine_run_over_weeks():
    rng = np.random.default_rng(3)
    n_blocks, deploys = 150, (60, 60, 400)
    n_t, n_c = rng.poisson(4, (n_blocks, 5)), rng.poisson(30, (n_blocks, 5))
    n_t[:3], n_t[60:62, 0] = 0, 0
    rate = np.where(np.arange(n_blocks) < 60, 0.1, 0.45)[:, None]
    stats = {"nT": n_t, "xT": rng.binomial(n_t, rate), "nC": n_c, "xC": rng.binomial(n_c, 0.1)}
    alarms = first_alarm("two_sample", stats, 0.01, 0.001, deploys)
    assert np.all(alarms > 0)
    for week, alarm in enumerate(alarms):
        state = DetectorState.fresh(SPEC, week_plan(deploys=True))
        fired = []
        for block in range(n_blocks):
            counts = Counts(*(int(stats[name][block, week]) for name in ("nT", "xT", "nC", "xC")))
            happened = Events(stage_starts=int(block == 0), deploys=deploys.count(block))
            state, reading = step(SPEC, state, block, counts, happened)
            fired.append(reading.fired)
        assert fired.index(True) == alarm


def test_check_stats_wants_blocks_by_streams():
    with pytest.raises(ValueError, match="expected blocks x streams"):
        check_stats(SPEC, {name: np.zeros(3) for name in ("nT", "xT", "nC", "xC")})
