"""Many blocks of many streams at once against single steps of the scalar engine: the same numbers, whatever happens in between."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import Block, Lane, LetGo, lanes
from controlplane.core.evidence import Counts, DetectorState, Events, effective, step
from controlplane.core.model import BlockCounts, MetricKind
from controlplane.core.policy import Policy, parse
from controlplane.core.policy_model import Judge
from controlplane.core.streams import stream_limit, streams_of
from controlplane.core.triggers import LaneRun, latched, step_blocks, step_lane, weight_plan

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HEAD = """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
phases = [{ name = "one", audience = "eligible", shares = [0.5] }]
[budget]
horizon_weeks = 1
[watch]
segments = ["retail", "business"]
"""


def trigger(name: str, metric: str, kind: str, limit: float, weight: float, action: str, more: str = "") -> str:
    head = f'[[triggers]]\nname = "{name}"\nmetric = "{metric}"\nkind = "{kind}"\nlimit = {limit}\n'
    return f'{head}weight = {weight}\naction = "{action}"\n{more}'


POLICY = parse(
    HEAD
    + trigger("escalation", "escalation_rate", "two_sample", 0.02, 0.3, "rollback")
    + trigger("contact", "contact_rate", "two_sample", 0.02, 0.1, "page", "icc = 0.05\n")
    + trigger("csat", "csat", "rating", 0.2, 0.2, "rollback")
    + trigger("rated", "csat", "rating", 0.3, 0.1, "hold", "icc = 0.02\nby_segment = false\n")
    + trigger("errors", "api_error_rate", "one_sample", 0.05, 0.1, "disable_execution")
    + trigger("twice", "misrouting_rate", "rate_ratio", 1.5, 0.1, "rollback")
    + trigger("made_up", "hallucination_rate", "one_sample", 0.05, 0.1, "hold")
)
(LANE,) = lanes(POLICY)
Drawn = dict[tuple[str, str], BlockCounts]


def drawn(number: int, rng: np.random.Generator) -> Drawn:
    """Counts of every stream; one block in five has nothing, one stream in five no treated unit."""
    found: Drawn = {}
    silent = rng.random() < 0.2
    for one in POLICY.triggers:
        for segment in POLICY.segments_of(one):
            n_t, n_c = (0 if silent or rng.random() < 0.2 else int(rng.integers(1, 60)) for _ in "TC")
            p = float(rng.choice([0.02, 0.05, 0.3]))
            values: dict[str, Any] = {
                "n_t": n_t,
                "x_t": rng.binomial(n_t, p),
                "n_c": n_c,
                "x_c": rng.binomial(n_c, 0.05),
            }
            if one.kind is MetricKind.RATING:
                values = {
                    "k_t": rng.multinomial(n_t, [p, 0.1, 0.1, 0.2, 0.6 - p]),
                    "k_c": rng.multinomial(n_c, [0.2] * 5),
                }
            plain = {k: tuple(map(int, v)) if k.startswith("k") else int(v) for k, v in values.items()}
            found[one.name, segment] = BlockCounts(one.metric, segment, T0 + number * MINUTE, 60, **plain)
    return found


def engine_counts(c: BlockCounts, icc: float) -> Counts:
    """By the scalar function: each arm, and each level of a rating, made effective."""
    if any(c.k_t) or any(c.k_c):
        k_t, k_c = (tuple(effective(sum(k), x, icc)[1] for x in k) for k in (c.k_t, c.k_c))
        return Counts(kT=k_t, kC=k_c)
    (n_t, x_t), (n_c, x_c) = effective(c.n_t, c.x_t, icc), effective(c.n_c, c.x_c, icc)
    return Counts(n_t, x_t, n_c, x_c)


def grid(known: list[dict[str, int]]) -> list[Block]:
    return [
        Block(
            T0 + n * MINUTE,
            T0 + (n + 1) * MINUTE,
            1 + more.pop("version", 0),
            more.pop("starts_stage", n == 0) > 0,
            **more,
        )
        for n, more in ((n, dict(more)) for n, more in enumerate(known))
    ]


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    known=st.lists(
        st.sampled_from([{}, {}, {"deploys": 1}, {"starts_stage": 1}, {"policies": 1}]), min_size=1, max_size=25
    ),
)
def test_many_blocks_are_the_scalar_engine_step_by_step(seed: int, known: list[dict[str, int]]) -> None:
    rng = np.random.default_rng(seed)
    blocks = grid(known)
    counts = [drawn(n, rng) for n in range(len(blocks))]
    run = step_blocks(POLICY, LANE, {}, blocks, counts)
    for stream in streams_of(POLICY, LANE):
        state = DetectorState.fresh(stream.spec, weight_plan(POLICY, 60))
        for block, of_block, readings in zip(blocks, counts, run.readings, strict=True):
            events = Events(int(block.starts_stage), block.deploys + block.policies)
            index = (block.start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
            used = engine_counts(of_block[stream.name, stream.segment], stream.icc)
            state, direct = step(stream.spec, state, index, used, events)
            (mine,) = [r for r in readings if (r.trigger, r.segment) == (stream.name, stream.segment)]
            assert mine.log_e == pytest.approx(direct.log_E, rel=1e-12, abs=1e-12)
            assert (mine.fired, mine.weight_spent) == (direct.fired, pytest.approx(direct.spent, abs=1e-12))
            assert (mine.onset is None) == (direct.onset is None)
            if direct.onset is not None:
                assert mine.onset == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=direct.onset)


def one_by_one(blocks: list[Block], counts: list[Drawn], released: LetGo) -> LaneRun:
    state: dict[str, Any] = {}
    readings, standings = [], []
    for block, of_block in zip(blocks, counts, strict=True):
        done = step_lane(POLICY, LANE, json.loads(json.dumps(state)), block, of_block, released)
        state = done.state
        readings.append(done.readings)
        standings.append(done.standings)
    return LaneRun(state, tuple(readings), tuple(standings))


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    known=st.lists(
        st.sampled_from([{}, {}, {}, {"deploys": 1}, {"resumes": 1}, {"enables": 2}, {"starts_stage": 1}]),
        min_size=2,
        max_size=20,
    ),
    resumed=st.none() | st.integers(0, 20),
    enabled=st.none() | st.integers(0, 20),
)
def test_however_blocks_are_cut_into_runs_they_say_the_same(
    seed: int, known: list[dict[str, int]], resumed: int | None, enabled: int | None
) -> None:
    """With resumptions, switchings on, and acts of people that void what had opened before."""
    rng = np.random.default_rng(seed)
    blocks = grid(known)
    counts = [drawn(n, rng) for n in range(len(blocks))]
    released = LetGo(*(None if n is None else T0 + n * MINUTE - MINUTE / 2 for n in (resumed, enabled)))
    single, whole = one_by_one(blocks, counts, released), step_blocks(POLICY, LANE, {}, blocks, counts, released)
    assert whole.readings == single.readings
    assert json.dumps(whole.state, sort_keys=True) == json.dumps(single.state, sort_keys=True)
    cut = len(blocks) // 2
    first = step_blocks(POLICY, LANE, {}, blocks[:cut], counts[:cut], released) if cut else LaneRun({}, (), ())
    second = step_blocks(POLICY, LANE, first.state, blocks[cut:], counts[cut:], released)
    assert first.readings + second.readings == single.readings
    assert json.dumps(second.state, sort_keys=True) == json.dumps(single.state, sort_keys=True)


def test_what_was_read_does_not_change_when_more_arrives() -> None:
    """Causality: the same readings on data that ends after any block."""
    rng = np.random.default_rng(5)
    blocks = grid([{}] * 12)
    counts = [drawn(n, rng) for n in range(12)]
    whole = step_blocks(POLICY, LANE, {}, blocks, counts)
    for end in range(1, 12):
        assert step_blocks(POLICY, LANE, {}, blocks[:end], counts[:end]).readings == whole.readings[:end]


def test_triggers_without_segments_have_one_stream_and_keep_their_share() -> None:
    names = {(stream.name, stream.segment) for stream in streams_of(POLICY, LANE)}
    assert ("rated", "all") in names
    assert not {("rated", "retail"), ("rated", "business")} & names
    (alone,) = [stream for stream in streams_of(POLICY, LANE) if stream.name == "rated"]
    assert alone.alpha == POLICY.alpha(next(t for t in POLICY.triggers if t.name == "rated"), "all")


def test_effective_counts_are_timid_and_say_that_they_are_approximate() -> None:
    bad = BlockCounts("contact_rate", "all", T0, 60, n_t=200, x_t=60, n_c=200, x_c=10)
    found = {}
    for icc in (0.0, 0.1):
        text = HEAD.replace('segments = ["retail", "business"]', "segments = []")
        policy = parse(text + trigger("contact", "contact_rate", "two_sample", 0.02, 1.0, "page", f"icc = {icc}\n"))
        (lane,) = lanes(policy)
        found[icc] = step_lane(policy, lane, {}, Block(T0, T0 + MINUTE, 1, True), {("contact", "all"): bad}).readings[0]
    assert found[0.1].log_e < found[0.0].log_e
    assert (found[0.0].exact, found[0.1].exact) == (True, False)
    assert found[0.1].counts == bad  # people are shown what was counted


def test_metrics_of_dependent_units_are_approximate() -> None:
    exact = {stream.name: stream.exact for stream in streams_of(POLICY, LANE)}
    assert exact == {
        "escalation": True, "contact": False, "csat": True, "rated": False, "errors": False, "twice": False, "made_up": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "sensitivity", "specificity", "flagged"),
    [(0.05, 1, 1, 0.05), (0.05, 0.8, 0.95, 0.0875), (0, 0.9, 0.9, 0.1)],
)
def test_a_judge_flags_bad_answers_it_sees_and_good_ones_by_mistake(
    limit: float, sensitivity: float, specificity: float, flagged: float
) -> None:
    assert Judge(sensitivity=sensitivity, specificity=specificity).flag_rate(limit) == pytest.approx(flagged)


def test_only_labels_of_a_judge_are_tested_on_the_flag_rate() -> None:
    judged = replace(POLICY, judge=replace(POLICY.judge, sensitivity=0.8, specificity=0.95))
    limits = {one.name: stream_limit(judged, one) for one in POLICY.triggers}
    assert limits["made_up"] == pytest.approx(0.0875)
    assert limits["errors"] == 0.05
    by_people = replace(next(one for one in POLICY.triggers if one.name == "made_up"), labels="person")
    assert stream_limit(judged, by_people) == 0.05


def small() -> tuple[Policy, Lane, Block, Drawn]:
    return POLICY, LANE, Block(T0, T0 + MINUTE, 1, True), drawn(0, np.random.default_rng(2))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"limit": 0.5}, "the policy changed without the engine being told"),
        ({"account": {"spent": 0.9}}, "its weight account says spent 0.9"),
        ({"account": {"horizon": 7}}, "the policy changed"),
    ],
)
def test_a_damaged_state_is_refused_by_name(damage: dict[str, Any], words: str) -> None:
    policy, lane, block, counts = small()
    state = step_lane(policy, lane, {}, block, counts).state
    one = json.loads(json.dumps(state["trigger:errors|retail"]))
    for key, value in damage.items():
        if isinstance(value, dict):
            for inner, new in value.items():
                one[key][inner] = {**one[key][inner], **new} if isinstance(new, dict) else new
        else:
            one[key] = value
    later = Block(T0 + MINUTE, T0 + 2 * MINUTE, 1, False)
    with pytest.raises(ValueError, match=words) as error:
        step_lane(policy, lane, {**state, "trigger:errors|retail": one}, later, counts)
    assert "trigger:errors|" in str(error.value)


def test_latches_of_several_lanes_are_put_together() -> None:
    states = [{"fired": ["trigger:a|all", "trigger:aa_shadow|csat_drop"]}, {}, {"fired": ["trigger:odd|name|x"]}]
    assert latched(states) == {("a", "all"), ("aa_shadow", "csat_drop"), ("odd|name", "x")}
