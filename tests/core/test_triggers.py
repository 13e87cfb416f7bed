"""A lane's steps against the evidence engine called directly: nothing is added, nothing lost, everything can be replayed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import numpy as np
import pytest

from controlplane.core.blocks import Block, Lane, lanes
from controlplane.core.evidence import (
    CertificateSpec,
    CertificateState,
    Counts,
    DetectorState,
    Events,
    StreamSpec,
    WeightPlan,
    certificate,
    step,
)
from controlplane.core.model import BlockCounts, MetricKind, TriggerReading, Verdict
from controlplane.core.policy import Policy, parse
from controlplane.core.triggers import LaneStep, last_block, step_lane, stream_spec, to_counts, weight_plan

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = parse(
    """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
phases = [{ name = "one", audience = "eligible", shares = [0.5] }]
[budget]
horizon_weeks = 1
[watch]
segments = ["retail", "business"]
[[triggers]]
name = "escalation_up"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.02
weight = 0.4
action = "rollback"
[[triggers]]
name = "csat_down"
metric = "csat"
kind = "rating"
limit = 0.2
weight = 0.3
action = "rollback"
[[triggers]]
name = "errors"
metric = "api_error_rate"
kind = "one_sample"
limit = 0.05
weight = 0.3
action = "hold"
[[certificates]]
name = "escalation"
metric = "escalation_rate"
kind = "two_sample"
margin = 0.05
"""
)
(LANE,) = lanes(POLICY)
SEGMENTS = ("all", "retail", "business")
KINDS = {trigger.name: trigger.kind for trigger in POLICY.triggers} | {"escalation": MetricKind.TWO_SAMPLE}
METRICS = {item.name: item.metric for item in (*POLICY.triggers, *POLICY.certificates)}
Streams = dict[tuple[str, str], BlockCounts]


def block(number: int, **known: Any) -> Block:
    starts = known.pop("starts_stage", number == 0)
    return Block(T0 + number * MINUTE, T0 + (number + 1) * MINUTE, known.pop("version", 1), starts, **known)


def counts_at(number: int, kind: MetricKind, name: str, segment: str, **values: Any) -> BlockCounts:
    return BlockCounts(METRICS[name], segment, T0 + number * MINUTE, 60, **values)


def drawn(number: int, rng: np.random.Generator, harm: float = 0.0) -> Streams:
    """Counts of every stream of one block; `harm` is added to the treated arm's event rate."""
    found = {}
    for name, kind in KINDS.items():
        for segment in SEGMENTS:
            n_t, n_c = (int(n) for n in rng.integers(5, 40, 2))
            values: dict[str, Any]
            if kind is MetricKind.RATING:
                bad = min(0.05 + harm, 0.9)
                treated = rng.multinomial(n_t, [bad, 0.1, 0.15, 0.3, 0.45 - bad] if bad < 0.45 else [bad, 0.1, 0, 0, 0])
                control = rng.multinomial(n_c, [0.05, 0.1, 0.15, 0.3, 0.4])
                values = {"k_t": tuple(map(int, treated)), "k_c": tuple(map(int, control))}
            else:
                x_t, x_c = int(rng.binomial(n_t, 0.03 + harm)), int(rng.binomial(n_c, 0.03))
                values = {"n_t": n_t, "x_t": x_t, "n_c": n_c, "x_c": x_c}
            found[name, segment] = counts_at(number, kind, name, segment, **values)
    return found


def nothing(number: int) -> Streams:
    return {(name, s): counts_at(number, kind, name, s) for name, kind in KINDS.items() for s in SEGMENTS}


def bad(number: int, name: str = "errors") -> Streams:
    """A block in which one trigger's stream on all traffic is far beyond its limit; everything else is empty."""
    one = counts_at(number, KINDS[name], name, "all", n_t=200, x_t=150, n_c=200, x_c=5)
    return nothing(number) | {(name, "all"): one}


def run(blocks: list[tuple[Block, Streams]], state: dict[str, Any] | None = None) -> list[LaneStep]:
    steps, state = [], {} if state is None else state
    for one, counts in blocks:
        steps.append(step_lane(POLICY, LANE, state, one, counts))
        state = steps[-1].state
    return steps


def traffic(blocks: int, harm: float = 0.0, seed: int = 1) -> list[tuple[Block, Streams]]:
    rng = np.random.default_rng(seed)
    return [(block(number), drawn(number, rng, harm)) for number in range(blocks)]


def reading(found: LaneStep, trigger: str, segment: str = "all") -> TriggerReading:
    (one,) = [r for r in found.readings if (r.trigger, r.segment) == (trigger, segment)]
    return one


def index(one: Block) -> int:
    return round((one.start - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def test_every_stream_reads_what_the_engine_reads() -> None:
    history = traffic(25, harm=0.06)
    steps = run(history)
    plan = WeightPlan(horizon_blocks=7 * 24 * 60)
    for trigger in POLICY.triggers:
        for segment in SEGMENTS:
            alpha = 0.01 * trigger.weight / 2 / (1 if segment == "all" else 2)
            spec = StreamSpec(str(trigger.kind), trigger.limit, alpha)
            state = DetectorState.fresh(spec, plan)
            for (one, counts), taken in zip(history, steps, strict=True):
                c = counts[trigger.name, segment]
                raw = Counts(c.n_t, c.x_t, c.n_c, c.x_c, c.k_t, c.k_c)
                state, direct = step(spec, state, index(one), raw, Events(stage_starts=int(one.starts_stage)))
                mine = reading(taken, trigger.name, segment)
                assert (mine.log_e, mine.log_threshold, mine.fired) == (
                    direct.log_E,
                    direct.log_threshold,
                    direct.fired,
                )
                assert mine.weight_spent == direct.spent
                assert (mine.onset is None) == (direct.onset is None)
                if mine.onset is not None:
                    assert mine.onset in {b.start for b, _ in history}
                    assert mine.onset <= one.start
                assert (mine.block_start, mine.counts, mine.metric) == (one.start, c, trigger.metric)
                assert mine.action is trigger.action


def test_the_certificate_reads_what_the_engine_reads_on_all_traffic() -> None:
    history = traffic(25)
    spec = CertificateSpec("two_sample", 0.05, 0.05)
    state = CertificateState.fresh(spec)
    for (one, counts), taken in zip(history, run(history), strict=True):
        state, direct = certificate.step(spec, state, index(one), to_counts(counts["escalation", "all"]))
        (standing,) = taken.standings
        assert (standing.log_e, standing.log_threshold, standing.certified, standing.blocks) == (
            direct.log_E,
            direct.log_threshold,
            direct.certified,
            state.blocks,
        )
        assert (standing.name, standing.metric, standing.margin) == ("escalation", "escalation_rate", 0.05)


def test_each_block_gives_one_reading_per_trigger_and_segment() -> None:
    (taken,) = run(traffic(1))
    assert [(r.trigger, r.segment) for r in taken.readings] == [
        (trigger.name, segment) for trigger in POLICY.triggers for segment in SEGMENTS
    ]
    assert {key for key in taken.state if key.startswith("trigger:")} == {
        f"trigger:{trigger.name}|{segment}" for trigger in POLICY.triggers for segment in SEGMENTS
    }


def test_the_state_is_json_and_comes_back_the_same() -> None:
    """Read back after every block, the streams end where they would have ended without."""
    history = traffic(12, harm=0.05)
    plain = run(history)
    state: dict[str, Any] = {}
    for (one, counts), direct in zip(history, plain, strict=True):
        taken = step_lane(POLICY, LANE, json.loads(json.dumps(state, allow_nan=False)), one, counts)
        state = taken.state
        assert taken.readings == direct.readings
        assert taken.standings == direct.standings
        assert json.loads(json.dumps(state, allow_nan=False)) == json.loads(json.dumps(direct.state, allow_nan=False))


def test_a_replay_of_the_same_blocks_gives_the_same_state() -> None:
    history = [*traffic(10), (block(10, deploys=1), bad(10)), (block(11, resumes=1), nothing(11))]
    first, second = run(history), run(history)
    assert json.dumps(first[-1].state, sort_keys=True) == json.dumps(second[-1].state, sort_keys=True)
    assert [step.readings for step in first] == [step.readings for step in second]


def test_a_step_leaves_the_state_it_was_given_alone() -> None:
    (taken,) = run(traffic(1))
    before = json.dumps(taken.state, sort_keys=True)
    step_lane(POLICY, LANE, taken.state, block(1), bad(1))
    assert json.dumps(taken.state, sort_keys=True) == before


@pytest.mark.parametrize("arm", ["both", "treated", "control"])
def test_an_empty_arm_is_no_data_and_never_pass_or_fail(arm: str) -> None:
    values: dict[str, Any] = {}
    if arm == "treated":
        values = {"n_c": 50, "x_c": 50, "k_c": (50, 0, 0, 0, 0)}
    if arm == "control":
        values = {"n_t": 50, "x_t": 50, "k_t": (50, 0, 0, 0, 0)}
    empty = {key: BlockCounts(c.metric, c.segment, c.start, 60, **values) for key, c in nothing(3).items()}
    steps = run([*traffic(3), (block(3), empty)])
    before, after = steps[-2], steps[-1]
    for name, kind in KINDS.items():
        if name == "escalation" or (arm == "control" and kind is MetricKind.ONE_SAMPLE):
            continue  # an absolute limit needs no control
        for segment in SEGMENTS:
            found = reading(after, name, segment)
            assert found.verdict is Verdict.NO_DATA
            assert not found.fired
            assert found.log_e == reading(before, name, segment).log_e
            assert found.weight_spent == reading(before, name, segment).weight_spent
            assert "no comparable data" in found.reason
    assert after.standings[0].log_e == before.standings[0].log_e
    assert after.standings[0].blocks == before.standings[0].blocks


def test_the_first_blocks_may_be_empty() -> None:
    taken = run([(block(0), nothing(0))])[0]
    assert {r.log_e for r in taken.readings} == {-inf}
    assert {r.verdict for r in taken.readings} == {Verdict.NO_DATA}
    assert taken.standings[0].certified is False
    json.dumps(taken.state, allow_nan=False)


def test_evidence_of_harm_fires_and_says_so() -> None:
    taken = run([(block(0), bad(0))])[0]
    found = reading(taken, "errors")
    assert found.fired
    assert found.verdict is Verdict.FAIL
    assert found.log_e >= found.log_threshold
    assert found.onset == T0
    assert "beyond its limit of 0.05" in found.reason
    assert taken.state["fired"] == ["trigger:errors|all"]
    in_segment = nothing(0) | {
        ("errors", "retail"): counts_at(0, KINDS["errors"], "errors", "retail", n_t=200, x_t=150)
    }
    assert "in segment retail" in reading(run([(block(0), in_segment)])[0], "errors", "retail").reason


def healthy(number: int) -> Streams:
    one = counts_at(number, KINDS["errors"], "errors", "all", n_t=400, x_t=2, n_c=400, x_c=2)
    return nothing(number) | {("errors", "all"): one}


def test_what_has_fired_stays_fired_when_the_evidence_is_gone() -> None:
    steps = run([(block(0), bad(0)), *((block(n), healthy(n)) for n in range(1, 40))])
    assert not reading(steps[-1], "errors").fired
    assert steps[-1].state["fired"] == ["trigger:errors|all"]


def test_a_resumption_gives_up_the_evidence_of_what_had_fired_and_of_nothing_else() -> None:
    # both streams have evidence; only one has fired
    both = bad(0) | {("csat_down", "all"): drawn(0, np.random.default_rng(3), 0.2)["csat_down", "all"]}
    fired = run([(block(0), both)])[0]
    assert fired.state["fired"] == ["trigger:errors|all"]
    resumed = step_lane(POLICY, LANE, fired.state, block(1, resumes=1), nothing(1))
    assert resumed.state["fired"] == []
    assert reading(resumed, "errors").log_e == -inf
    assert reading(resumed, "errors").onset is None
    assert reading(resumed, "csat_down").log_e == reading(fired, "csat_down").log_e
    spent = reading(fired, "errors").weight_spent
    assert reading(resumed, "errors").weight_spent == spent  # drawn with the first block that can speak
    again = step_lane(POLICY, LANE, resumed.state, block(2), healthy(2))
    horizon = weight_plan(POLICY, 60).horizon_blocks
    assert reading(again, "errors").weight_spent == pytest.approx(spent + 0.25 * 2**-2 + 0.5 / horizon)
    assert again.state["fired"] == []


def test_harm_that_goes_on_fires_again_after_a_resumption() -> None:
    steps = run([(block(0), bad(0)), (block(1, resumes=1), bad(1)), (block(2), bad(2))])
    assert steps[1].state["fired"] == steps[2].state["fired"] == ["trigger:errors|all"]
    assert reading(steps[1], "errors").fired


def test_a_resumption_gives_nothing_to_streams_that_had_not_fired() -> None:
    history = traffic(4)
    plain = run([*history, (block(4), healthy(4))])
    resumed = run([*history, (block(4, resumes=1), healthy(4))])
    assert plain[-1].readings == resumed[-1].readings


def test_giving_evidence_up_never_spends_more_than_the_account() -> None:
    """Thousands of resumptions cannot draw more than the quarter that stage starts and restarts share."""
    state: dict[str, Any] = {}
    spent = []
    for number in range(60):
        taken = step_lane(POLICY, LANE, state, block(number, resumes=int(number > 0)), bad(number))
        state = taken.state
        spent.append(reading(taken, "errors").weight_spent)
    assert spent == sorted(spent)
    assert spent[-1] <= 0.25 + 60 * 0.5 / weight_plan(POLICY, 60).horizon_blocks


@pytest.mark.parametrize("known", [{"starts_stage": True, "version": 2}, {"deploys": 1}, {"deploys": 3}])
def test_certificates_restart_at_stage_starts_and_deploys(known: dict[str, Any]) -> None:
    history = traffic(10)
    before = run(history)[-1]
    assert before.standings[0].blocks == 10
    after = run([*history, (block(10, **known), nothing(10))])[-1].standings[0]
    assert (after.log_e, after.blocks, after.certified) == (0.0, 0, False)


def test_certificates_do_not_restart_at_a_resumption() -> None:
    after = run([*traffic(10), (block(10, resumes=1), nothing(10))])[-1].standings[0]
    assert after.blocks == 10


def test_detectors_keep_their_evidence_over_stages_and_deploys_and_draw_weight() -> None:
    history = traffic(10, harm=0.03)
    before = reading(run(history)[-1], "errors")
    stage = reading(run([*history, (block(10, starts_stage=True), healthy(10))])[-1], "errors")
    deploy = reading(run([*history, (block(10, deploys=1), healthy(10))])[-1], "errors")
    plain = reading(run([*history, (block(10), healthy(10))])[-1], "errors")
    assert plain.weight_spent > before.weight_spent
    assert stage.weight_spent == pytest.approx(plain.weight_spent + 0.25 / 4)
    assert deploy.weight_spent == pytest.approx(plain.weight_spent + 0.25 / 2)


def test_blocks_are_read_once_and_in_order() -> None:
    state = run(traffic(3))[-1].state
    for number in (2, 1, 0):
        with pytest.raises(ValueError, match="is not after block"):
            step_lane(POLICY, LANE, state, block(number), nothing(number))


def test_missing_counts_are_a_fault_and_no_zero() -> None:
    for missing in (("errors", "retail"), ("escalation", "all")):
        counts = {key: value for key, value in nothing(0).items() if key != missing}
        with pytest.raises(KeyError):
            step_lane(POLICY, LANE, {}, block(0), counts)


def test_impossible_counts_are_refused() -> None:
    wrong = nothing(0) | {("errors", "all"): counts_at(0, KINDS["errors"], "errors", "all", n_t=1, x_t=2)}
    with pytest.raises(ValueError, match="exceeds"):
        step_lane(POLICY, LANE, {}, block(0), wrong)


def test_the_last_block_comes_back_from_the_state() -> None:
    assert last_block({}) is None
    cut_short = Block(T0 + MINUTE, T0 + MINUTE + timedelta(seconds=17), 7, True, 2, 1)
    state = run([(block(0), nothing(0)), (cut_short, nothing(1))])[-1].state
    found = last_block(json.loads(json.dumps(state)))
    assert found is not None
    assert (found.start, found.end, found.stage_version) == (cut_short.start, cut_short.end, 7)


def test_streams_share_the_budget_as_the_policy_says() -> None:
    thresholds = {(t.name, s): stream_spec(POLICY, t, s).alpha for t in POLICY.triggers for s in SEGMENTS}
    assert sum(thresholds.values()) == pytest.approx(0.01)
    assert thresholds["escalation_up", "all"] == pytest.approx(0.01 * 0.4 / 2)
    assert thresholds["escalation_up", "retail"] == pytest.approx(0.01 * 0.4 / 4)


@pytest.mark.parametrize(("seconds", "blocks"), [(60, 10080), (5, 120960), (900, 672), (10**9, 1)])
def test_the_account_covers_the_planned_horizon(seconds: int, blocks: int) -> None:
    assert weight_plan(POLICY, seconds).horizon_blocks == blocks


def test_a_lane_without_certificates_and_one_without_triggers_take_steps() -> None:
    watch_only = Lane(LANE.key, LANE.span, LANE.maturity, LANE.triggers, ())
    assert step_lane(POLICY, watch_only, {}, block(0), nothing(0)).standings == ()
    proof_only = Lane(LANE.key, LANE.span, LANE.maturity, (), LANE.certificates)
    taken = step_lane(POLICY, proof_only, {}, block(0), nothing(0))
    assert (taken.readings, taken.state["fired"], len(taken.standings)) == ((), [], 1)


def test_a_healthy_week_of_counts_fires_nothing() -> None:
    assert isinstance(POLICY, Policy)
    steps = run(traffic(120, seed=5))
    assert not any(r.fired for step in steps for r in step.readings)
    assert steps[-1].state["fired"] == []
