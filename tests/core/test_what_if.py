"""A what-if is the live engine on recorded counts: with nothing changed it says what was said, and a change moves only what it may move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import exp, inf, log
from typing import Any

import numpy as np
import pytest

from controlplane.core.blocks import Block, LetGo, StageEvent, closable, lanes, let_go
from controlplane.core.model import BlockCounts, RolloutState
from controlplane.core.policy import parse
from controlplane.core.triggers import ALL, step_lane
from controlplane.core.what_if import Recorded, blocks_of, changed, trigger_of, walk

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = parse(
    """schema = 1
name = "p"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.2, 0.5]
[budget]
horizon_weeks = 1
[watch]
segments = ["retail"]
[[triggers]]
name = "escalation_up"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.02
weight = 0.5
action = "rollback"
[[triggers]]
name = "errors"
metric = "api_error_rate"
kind = "one_sample"
limit = 0.05
weight = 0.3
action = "hold"
[[triggers]]
name = "timeouts"
metric = "timeout_rate"
kind = "one_sample"
limit = 0.05
weight = 0.2
action = "page"
"""
)
EVENTS = ("start", "promote", "deploy", "hold", "resume", "policy")


def at(minute: float) -> datetime:
    return T0 + minute * MINUTE


def history(*rows: tuple[float, str, float]) -> list[StageEvent]:
    """(minute, event, share) of a rollout that runs, or is complete."""
    return [
        StageEvent(version, event, RolloutState.RUNNING, at(minute), share)
        for version, (minute, event, share) in enumerate(rows, 1)
    ]


LIFE = history((0, "start", 0.2), (10, "promote", 0.5), (14, "deploy", 0.5), (30, "hold", 0.5), (33, "resume", 0.5))


def record(name: str, blocks: list[Block], rate: Any, units: int = 60, seed: int = 3) -> list[Recorded]:
    """Blocks with random counts; `rate(minute)`: of the treated."""
    rng, trigger = np.random.default_rng(seed), trigger_of(POLICY, name)
    found = []
    for block in blocks:
        counts = {}
        for segment in (ALL, "retail"):
            p = rate((block.start - T0) / MINUTE)
            x_t, x_c = int(rng.binomial(units, p)), int(rng.binomial(units, 0.1))
            counts[name, segment] = BlockCounts(trigger.metric, segment, block.start, 60, units, x_t, units, x_c)
        found.append(Recorded(block.start, block.end - block.start, block.end + MINUTE, counts))
    return found


def blocks(life: list[StageEvent], count: int) -> list[Block]:
    (lane,) = lanes(POLICY)
    return closable(life, lane, None, at(10_000), count)


def test_with_nothing_changed_it_is_the_engine_step_by_step() -> None:
    found = blocks(LIFE, 50)
    recorded = record("escalation_up", found, lambda minute: 0.1 if minute < 20 else 0.3)
    walked = walk(POLICY, "escalation_up", LIFE, recorded)
    (whole,) = lanes(POLICY)
    lane = type(whole)(whole.key, whole.span, whole.maturity, (POLICY.triggers[0],), ())
    state: dict[str, Any] = {}
    said, fired = [], []
    for block, one in zip(found, recorded, strict=True):
        known = let_go([row for row in LIFE if row.started_at <= one.closed_at])
        step = step_lane(POLICY, lane, state, block, one.counts, known)
        state = step.state
        said.append(next(reading.log_e for reading in step.readings if reading.segment == ALL))
        fired += [one.closed_at for reading in step.readings if reading.fired]
    assert list(walked.log_e) == pytest.approx(said, abs=1e-12)
    assert walked.first is not None
    assert walked.first.closed_at == fired[0]
    assert walked.first.units == 60 * (1 + [one.closed_at for one in recorded].index(fired[0]))
    threshold = -log(POLICY.alpha(POLICY.triggers[0], ALL))
    assert set(walked.log_threshold) == {threshold}
    assert walked.ratios()[5] == pytest.approx(exp(said[5] - threshold))


def test_the_blocks_are_those_that_closed() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        minutes = sorted({0.0, *(float(rng.integers(1, 60)) + float(rng.integers(0, 2)) / 2 for _ in range(5))})
        events = ["start", *rng.choice(EVENTS[1:], len(minutes) - 1)]
        life = history(*((minute, str(event), 0.2) for minute, event in zip(minutes, events, strict=True)))
        found = blocks(life, 70)
        recorded = [Recorded(one.start, one.end - one.start, one.end, {}) for one in found]
        assert blocks_of(life, recorded) == found


def test_a_quarter_after_the_completion_is_an_account_of_its_own() -> None:
    life = [*LIFE[:2], StageEvent(3, "promote", RolloutState.COMPLETE, at(20), 0.97)]
    found = blocks(life, 30)
    assert {one.quarter for one in blocks_of(life, [Recorded(b.start, b.end - b.start, b.end, {}) for b in found])} == {
        0,
        1,
    }


def test_a_person_who_resumes_lets_go_of_what_had_fired() -> None:
    recorded = record("errors", blocks(LIFE, 50), lambda minute: 0.5 if 20 <= minute < 30 else 0.0)
    held = walk(POLICY, "errors", LIFE, recorded)
    assert held.first is not None
    assert held.first.block_start < at(30)
    assert max(held.ratios()[20:30]) > 1 > max(held.ratios()[34:]), "the evidence begins again behind the resumption"
    assert let_go(LIFE) == LetGo(at(33), None)


@pytest.mark.parametrize("name", ["escalation_up", "errors"])
def test_a_stricter_limit_finds_a_harm_no_later_and_a_loose_one_never(name: str) -> None:
    recorded = record(name, blocks(LIFE, 50), lambda minute: 0.1 if minute < 12 else 0.25)
    trigger = trigger_of(POLICY, name)
    firsts = []
    for limit in (trigger.limit / 2, trigger.limit, 0.5):
        found = walk(changed(POLICY, name, limit, trigger.weight), name, LIFE, recorded).first
        firsts.append(None if found is None else found.closed_at)
    assert firsts[0] is not None
    assert firsts[1] is not None
    assert firsts[0] <= firsts[1]
    assert firsts[2] is None


def test_a_larger_weight_lowers_the_threshold_and_the_others_pay_for_it() -> None:
    other = changed(POLICY, "errors", 0.05, 0.6)
    assert [one.weight for one in other.triggers] == pytest.approx([0.5 * 0.4 / 0.7, 0.6, 0.2 * 0.4 / 0.7])
    assert sum(one.weight for one in other.triggers) == pytest.approx(sum(one.weight for one in POLICY.triggers))
    recorded = record("errors", blocks(LIFE, 20), lambda _minute: 0.04)
    today, then = (walk(policy, "errors", LIFE, recorded) for policy in (POLICY, other))
    assert then.log_e == today.log_e, "the weight moves the threshold, never the evidence"
    assert then.log_threshold[0] == pytest.approx(today.log_threshold[0] - log(2))
    assert changed(POLICY, "errors", 0.05, 0.3) == POLICY


@pytest.mark.parametrize(
    ("name", "limit", "weight", "said"),
    [
        ("nothing", 0.1, 0.1, "has no 'nothing'; it has escalation_up, errors, timeouts"),
        ("errors", 0.1, 0.0, "weight: 0 must lie between"),
        ("errors", 0.1, 1.0, "weight: 1 must lie between"),
    ],
)
def test_what_cannot_be_is_refused(name: str, limit: float, weight: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        changed(POLICY, name, limit, weight)


def test_limits_counts_and_times_that_cannot_be_are_refused() -> None:
    recorded = record("errors", blocks(LIFE, 5), lambda _minute: 0.0)
    for limit, said in (
        (0.9, r"limit: an absolute limit must be below 0\.8"),
        (-0.1, "limit: it must not be negative"),
    ):
        with pytest.raises(ValueError, match=said):
            changed(POLICY, "errors", limit, 0.3)
    bare = [Recorded(one.start, one.span, one.closed_at, {}) for one in recorded]
    with pytest.raises(ValueError, match="recorded with other segments"):
        walk(POLICY, "errors", LIFE, bare)
    with pytest.raises(ValueError, match="lies before the rollout's history"):
        blocks_of(history((60, "start", 0.2)), recorded)
    assert walk(POLICY, "errors", LIFE, []).first is None
    assert walk(POLICY, "errors", LIFE, []).ratios() == ()
    first = record("errors", blocks(LIFE, 1), lambda _minute: 0.0, units=0)
    assert walk(POLICY, "errors", LIFE, first).log_e == (-inf,)
    assert walk(POLICY, "errors", LIFE, first).ratios() == (0.0,)
