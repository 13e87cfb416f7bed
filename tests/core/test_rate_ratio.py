"""A trigger on rare events: at most so many times the control's rate (form 4), from the policy's text to its words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from controlplane.core.blocks import Block, lanes
from controlplane.core.estimates_power import smallest_harm_found
from controlplane.core.evidence import first_alarm
from controlplane.core.forecast import Expected, plan
from controlplane.core.model import BlockCounts
from controlplane.core.policy import Policy, PolicyError, parse
from controlplane.core.policy_words import explain
from controlplane.core.triggers import step_blocks
from controlplane.core.validity import AA_SHADOW, checks

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
TEXT = """schema = 1
name = "rare"
owner = "o"
baseline = "menu"
assignment = { salt = "s" }
phases = [{ name = "one", audience = "eligible", shares = [0.5], min_minutes = 3000 }]
[budget]
horizon_weeks = 1
[traffic]
per_minute = 100
[[triggers]]
name = "misrouted"
metric = "misrouting_rate"
kind = "rate_ratio"
limit = LIMIT
weight = 1.0
maturity_minutes = 60
block_seconds = 60
action = "rollback"
"""


def policy(limit: float = 2.0) -> Policy:
    return parse(TEXT.replace("LIMIT", str(limit)))


def fired(ratio: float, blocks: int = 400, seed: int = 3) -> list[int]:
    """Blocks at which the stream was over its threshold; the control's rate drifts from 1 to 4 %."""
    found = policy()
    (lane,) = (lane for lane in lanes(found) if lane.triggers)
    rng = np.random.default_rng(seed)
    span = timedelta(minutes=1)
    grid = [Block(T0 + i * span, T0 + (i + 1) * span, 1, i == 0) for i in range(blocks)]
    counts: list[dict[Any, BlockCounts]] = []
    for i, block in enumerate(grid):
        rate = 0.01 + 0.03 * i / blocks
        n_t, n_c = 40, 60
        row = BlockCounts("misrouting_rate", "all", block.start, 60, n_t, int(rng.binomial(n_t, ratio * rate)), n_c)
        counts.append({("misrouted", "all"): replace(row, x_c=int(rng.binomial(n_c, rate)))})
    run = step_blocks(found, lane, {}, grid, counts)
    return [i for i, readings in enumerate(run.readings) if any(r.fired for r in readings)]


def test_three_times_the_rate_fires_and_exactly_twice_does_not() -> None:
    assert fired(6.0)
    assert not fired(2.0)
    assert not fired(1.0)


def test_the_stream_is_first_alarm() -> None:
    rng = np.random.default_rng(5)
    shape = (600, 1)
    n_t, n_c = np.full(shape, 40), np.full(shape, 60)
    stats = {"nT": n_t, "xT": rng.binomial(n_t, 0.09), "nC": n_c, "xC": rng.binomial(n_c, 0.015)}
    assert 0 <= first_alarm("rate_ratio", stats, 2.0, 0.005)[0] < 300


@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_a_ratio_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(PolicyError, match=r"triggers\.0\.limit"):
        policy(limit)


def test_it_is_no_certificate() -> None:
    text = TEXT.replace("LIMIT", "2.0") + (
        '[[certificates]]\nname = "c"\nmetric = "misrouting_rate"\nkind = "rate_ratio"\nmargin = 0.02\n'
    )
    with pytest.raises(PolicyError, match=r"certificates\.0"):
        parse(text)


def test_it_compares_so_it_has_a_shadow() -> None:
    shadows = [check for check in checks(policy()) if check.name == AA_SHADOW]
    assert [(check.segment, check.kind, check.limit) for check in shadows] == [("misrouted", "rate_ratio", 2.0)]


def test_people_read_times_and_not_points() -> None:
    words = str(explain(policy()))
    assert "more than 2 times that of the others" in words


def test_larger_ratios_are_forecast_to_be_found_sooner() -> None:
    found = [item.minutes for item in plan(policy(), Expected(per_minute=1000.0, source="stated")).detections]
    known = [minutes for minutes in found if minutes is not None]
    assert len(known) >= 2
    assert known == sorted(known, reverse=True)


def test_the_smallest_ratio_found_shrinks_with_the_data() -> None:
    few = smallest_harm_found("rate_ratio", {"nT": 400.0, "nC": 600.0, "xC": 12.0}, 2.0, 0.005)
    many = smallest_harm_found("rate_ratio", {"nT": 4000.0, "nC": 6000.0, "xC": 120.0}, 2.0, 0.005)
    assert few is not None
    assert many is not None
    assert 2.0 < many < few
    assert smallest_harm_found("rate_ratio", {"nT": 400.0, "nC": 600.0, "xC": 0.0}, 2.0, 0.005) is None
