"""The checks of the comparison: they find what makes it unfair, and a fair one, however it grows, leaves them silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.blocks import Block, Lane, StageEvent, check_lanes, closable
from controlplane.core.evidence.forms import FORMS
from controlplane.core.model import Action, BlockCounts, RolloutState, Verdict
from controlplane.core.policy import Policy, parse
from controlplane.core.streams import streams_of
from controlplane.core.triggers import LaneRun, step_blocks
from controlplane.core.validity import AA_SHADOW, LESS, MORE, RESPONSE_RATE, SAMPLE_RATIO, checks, compared, grace

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
TEXT = """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
phases = [{ name = "one", audience = "eligible", shares = [0.01, 0.05, 0.2, 0.5] }]
[budget]
horizon_weeks = 1
[[triggers]]
name = "escalation"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.02
maturity_minutes = 120
weight = 0.5
action = "rollback"
[[triggers]]
name = "csat"
metric = "csat"
kind = "rating"
limit = 0.2
maturity_minutes = 1440
weight = 0.3
action = "rollback"
[[triggers]]
name = "errors"
metric = "api_error_rate"
kind = "one_sample"
limit = 0.05
weight = 0.2
action = "hold"
"""
POLICY = parse(TEXT)
LANES = {lane.maturity: lane for lane in check_lanes(POLICY)}
UNITS, ESCALATED, RATED = (LANES[timedelta(hours=hours)] for hours in (0, 2, 24))


def counts(number: int, **values: Any) -> BlockCounts:
    return BlockCounts("m", "all", T0 + number * QUARTER, 900, **values)


def block(number: int, share: float = 0.5, **known: Any) -> Block:
    return Block(T0 + number * QUARTER, T0 + (number + 1) * QUARTER, 1, number == 0, share=share, **known)


def run(lane: Lane, found: list[dict[str, Any]], shares: list[float] | None = None) -> LaneRun:
    """The same counts for every stream of the lane."""
    blocks = [block(number, (shares or [0.5] * len(found))[number]) for number in range(len(found))]
    rows = [
        {(check.name, check.segment): counts(number, **values) for check in lane.checks}
        for number, values in enumerate(found)
    ]
    return step_blocks(POLICY, lane, {}, blocks, rows)


def test_every_comparison_is_checked_and_the_checks_share_their_budget_evenly() -> None:
    found = {(check.name, check.segment): check for check in checks(POLICY)}
    assert set(found) == {
        (SAMPLE_RATIO, "all"), (AA_SHADOW, "escalation"), (AA_SHADOW, "csat"), (RESPONSE_RATE, LESS), (RESPONSE_RATE, MORE),
    }  # fmt: skip
    assert {check.alpha for check in found.values()} == {POLICY.budget.validity / 5}
    assert found[AA_SHADOW, "csat"].limit == 0.2
    assert (UNITS.key, ESCALATED.key, RATED.key) == ("checks 900s+0s", "checks 900s+7200s", "checks 900s+86400s")
    assert [check.name for check in RATED.checks] == [AA_SHADOW, RESPONSE_RATE, RESPONSE_RATE]


def test_what_is_switched_off_is_not_there_and_leaves_its_budget_to_the_others() -> None:
    some = replace(POLICY, validity=replace(POLICY.validity, aa_shadow=False, response_margin=0.0))
    (only,) = checks(some)
    assert (only.name, only.alpha) == (SAMPLE_RATIO, POLICY.budget.validity)
    none = replace(some, validity=replace(some.validity, sample_ratio=False))
    assert checks(none) == ()
    assert check_lanes(none) == ()


def test_without_a_trigger_on_ratings_answers_have_a_day() -> None:
    text = TEXT[: TEXT.index('[[triggers]]\nname = "csat"')] + TEXT[TEXT.index('[[triggers]]\nname = "errors"') :]
    found = {
        check.name: check.maturity_seconds for check in checks(parse(text.replace("weight = 0.2", "weight = 0.5")))
    }
    assert found == {SAMPLE_RATIO: 0, AA_SHADOW: 7200, RESPONSE_RATE: 86400}


def test_checks_hold_and_never_do_more() -> None:
    assert {stream.action for lane in LANES.values() for stream in streams_of(POLICY, lane)} == {Action.HOLD}


@pytest.mark.parametrize("treated", [0.45, 0.55])
def test_customers_that_fall_on_the_wrong_arm_are_found(treated: float) -> None:
    rng = np.random.default_rng(3)
    units = [int(rng.binomial(1000, treated)) for _ in range(20)]
    found = run(UNITS, [{"n_t": n, "n_c": 1000 - n} for n in units])
    alarms = [readings[0] for readings in found.readings if readings[0].fired]
    assert alarms
    assert alarms[0].verdict is Verdict.FAIL
    assert "the arms do not get the customers that the share says" in alarms[0].reason
    assert found.state["fired"] == ["trigger:sample_ratio|all"]


def test_a_ramp_whose_share_changes_is_no_mismatch() -> None:
    """1 -> 5 -> 20 -> 50 % with fair draws, 100 weeks, each share judged by itself: no alarm. Pooled against one share all would fire."""
    shares = [share for share in (0.01, 0.05, 0.2, 0.5) for _ in range(40)]
    false = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        units = rng.binomial(400, shares).tolist()
        false += bool(run(UNITS, [{"n_t": n, "n_c": 400 - n} for n in units], shares).state["fired"])
    assert false == 0
    pooled = run(UNITS, [{"n_t": n, "n_c": 400 - n} for n in units], [float(np.mean(shares))] * len(shares))
    assert pooled.state["fired"]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_arm_that_is_served_to_nobody_has_no_ratio(share: float) -> None:
    found = run(UNITS, [{"n_t": 50, "n_c": 0}], [share])
    assert found.readings[0][0].verdict is Verdict.NO_DATA
    assert found.readings[0][0].weight_spent == 0.0


def test_a_block_without_data_says_nothing_and_costs_nothing() -> None:
    for lane in LANES.values():
        found = run(lane, [{}] * 3)
        for readings in found.readings:
            assert {(r.verdict, r.fired, r.weight_spent) for r in readings} == {(Verdict.NO_DATA, False, 0.0)}


def overdispersed(rng: np.random.Generator, blocks: int, spread: float) -> list[dict[str, Any]]:
    """Halves of a control whose event rate moves by block *and half*, around 20 %; `spread` 0 is plain chance."""
    found = []
    for _ in range(blocks):
        rates = np.clip(0.2 + spread * rng.standard_normal(2), 0.0, 1.0)
        n_t, n_c = (int(n) for n in rng.integers(150, 250, 2))
        found.append(
            {"n_t": n_t, "x_t": int(rng.binomial(n_t, rates[0])), "n_c": n_c, "x_c": int(rng.binomial(n_c, rates[1]))}
        )
    return found


def test_the_shadow_finds_a_control_that_is_noisier_than_its_test_allows_for() -> None:
    noisy = run(ESCALATED, overdispersed(np.random.default_rng(1), 96, 0.12))
    assert noisy.state["fired"] == ["trigger:aa_shadow|escalation"]
    first = next(readings[0] for readings in noisy.readings if readings[0].fired)
    assert (first.trigger, first.segment, first.metric) == (AA_SHADOW, "escalation", "escalation_rate")
    assert "two halves of the control arm differ" in first.reason


def test_the_shadow_is_silent_where_there_is_only_chance() -> None:
    false = sum(
        bool(run(ESCALATED, overdispersed(np.random.default_rng(seed), 96, 0.0)).state["fired"]) for seed in range(100)
    )
    assert false == 0


@pytest.mark.parametrize(("treated", "control", "direction"), [(0.1, 0.35, LESS), (0.35, 0.1, MORE), (0.2, 0.25, None)])
def test_arms_that_answer_differently_are_found_in_either_direction(
    treated: float, control: float, direction: str | None
) -> None:
    rng = np.random.default_rng(2)
    found = run(
        RATED,
        [
            {"n_t": 200, "x_t": int(rng.binomial(200, treated)), "n_c": 200, "x_c": int(rng.binomial(200, control))}
            for _ in range(20)
        ],
    )
    mine = [key for key in found.state["fired"] if key.startswith(f"trigger:{RESPONSE_RATE}")]
    assert mine == ([] if direction is None else [f"trigger:{RESPONSE_RATE}|{direction}"])


def test_a_person_who_resumes_lets_go_of_a_check_like_of_a_trigger() -> None:
    bad = {("sample_ratio", "all"): counts(0, n_t=900, n_c=100)}
    fired = step_blocks(POLICY, UNITS, {}, [block(0)], [bad])
    assert fired.state["fired"]
    fair = {("sample_ratio", "all"): counts(1, n_t=500, n_c=500)}
    after = step_blocks(POLICY, UNITS, fired.state, [block(1, resumes=1)], [fair])
    assert after.state["fired"] == []
    assert after.readings[0][0].log_e < fired.readings[0][0].log_e


def pmf(x: int, n: int, p: float) -> float:
    return float(comb(n, x) * p**x * (1 - p) ** (n - x))


@settings(max_examples=40, deadline=None)
@given(
    n_t=st.integers(1, 6),
    n_c=st.integers(1, 6),
    rate=st.floats(0.05, 0.85),
    gap=st.floats(-0.1, 0.1),
    direction=st.sampled_from([LESS, MORE]),
)
def test_the_response_checks_are_e_values_up_to_their_margin(
    n_t: int, n_c: int, rate: float, gap: float, direction: str
) -> None:
    """Every possible block of both arms, weighed by its probability: the mean of each bet's e-value is at most 1."""
    check = next(one for one in checks(POLICY) if one.segment == direction)
    answered = {"t": min(max(rate + gap, 0.0), 1.0), "c": rate}
    cells = [(x_t, x_c) for x_t in range(n_t + 1) for x_c in range(n_c + 1)]
    used = [compared(check, counts(0, n_t=n_t, x_t=x_t, n_c=n_c, x_c=x_c)) for x_t, x_c in cells]
    columns = {
        name: np.array([float(getattr(row, source)) for row in used])
        for name, source in (("nT", "n_t"), ("xT", "x_t"), ("nC", "n_c"), ("xC", "x_c"))
    }
    prior = np.tile([40.0, 12.0, 12.0], (len(used), 1))
    log_e = FORMS["two_sample"].log_e(columns, prior, check.limit)
    chance = np.array([pmf(x_t, n_t, answered["t"]) * pmf(x_c, n_c, answered["c"]) for x_t, x_c in cells])
    assert np.all(chance @ np.exp(log_e) <= 1 + 1e-12)


def test_blocks_of_the_checks_carry_the_share_of_their_stage() -> None:
    history = [
        StageEvent(1, "start", RolloutState.RUNNING, T0, 0.01),
        StageEvent(2, "promote", RolloutState.RUNNING, T0 + timedelta(minutes=20), 0.05),
        StageEvent(3, "hold", RolloutState.HELD, T0 + timedelta(minutes=25), 0.05),
    ]
    found = closable(history, UNITS, None, T0 + timedelta(hours=1))
    minutes = [((one.start - T0).seconds // 60, (one.end - T0).seconds // 60, one.share) for one in found]
    assert minutes == [(0, 15, 0.01), (15, 20, 0.01), (20, 35, 0.05), (35, 50, 0.05)]


def test_clients_may_serve_the_share_before_for_as_long_as_they_poll_and_trust_a_flag() -> None:
    assert grace(POLICY) == timedelta(seconds=POLICY.watch.client_poll_seconds + POLICY.watch.flag_max_age_seconds)


def shadow_policy(icc: float) -> Policy:
    return parse(TEXT.replace('name = "escalation"\n', f'name = "escalation"\nicc = {icc}\n'))


def test_the_shadow_sees_the_counts_as_its_trigger_does() -> None:
    noise = overdispersed(np.random.default_rng(1), 96, 0.12)
    found = {}
    for icc in (0.0, 0.2):
        policy = shadow_policy(icc)
        lane = next(one for one in check_lanes(policy) if one.maturity == timedelta(hours=2))
        rows = [{(AA_SHADOW, "escalation"): counts(number, **values)} for number, values in enumerate(noise)]
        found[icc] = step_blocks(policy, lane, {}, [block(number) for number in range(len(rows))], rows)
    assert found[0.0].state["fired"]
    assert not found[0.2].state["fired"]
    assert not found[0.2].readings[0][0].exact
