"""The service of the story: the same request always meets the same fate, in the stated proportions."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import ServiceModel, ServiceProfile
from tests.assistant.talk import faultless

IDS = [f"c{i}:1" for i in range(4000)]


@given(st.text(), st.integers())
def test_a_draw_depends_only_on_seed_operation_and_id(interaction_id: str, seed: int) -> None:
    model = ServiceModel("model", 900.0, error_rate=0.1, timeout_rate=0.1, seed=seed)
    assert model.draw(interaction_id) == ServiceModel("model", 900.0, error_rate=0.1, timeout_rate=0.1, seed=seed).draw(
        interaction_id
    )
    assert 0 < model.draw(interaction_id).latency_ms <= model.timeout_ms


def test_seed_and_operation_change_the_fate() -> None:
    one = [ServiceModel("model", 900.0, seed=1).draw(i) for i in IDS[:50]]
    assert one != [ServiceModel("model", 900.0, seed=2).draw(i) for i in IDS[:50]]
    assert one != [ServiceModel("bank", 900.0, seed=1).draw(i) for i in IDS[:50]]


def test_median_errors_and_time_outs_are_as_stated() -> None:
    model = ServiceModel("model", 900.0, 0.4, error_rate=0.05, timeout_rate=0.02)
    draws = [model.draw(i) for i in IDS]
    assert statistics.median(draw.latency_ms for draw in draws) == pytest.approx(900, rel=0.05)
    assert sum(draw.timed_out for draw in draws) / len(draws) == pytest.approx(0.02, abs=0.008)
    assert sum(draw.error_type == "service_error" for draw in draws) / len(draws) == pytest.approx(0.05, abs=0.012)


def test_a_slow_model_runs_into_its_time_out() -> None:
    fast, slow = ServiceModel("model", 900.0), ServiceModel("model", 900.0, slow_factor=12.0)
    assert not any(fast.draw(i).timed_out for i in IDS)
    cut = [draw for draw in (slow.draw(i) for i in IDS) if draw.timed_out]
    assert len(cut) > 1000
    assert all(draw.latency_ms == 10_000 and draw.failed for draw in cut)


def test_profiles_change_only_what_they_say() -> None:
    profile = ServiceProfile()
    assert profile.slowed(3.0).model.slow_factor == 3.0
    assert profile.slowed(3.0).bank == profile.bank
    assert profile.failing(0.5, 0.25).model.error_rate == 0.5
    assert {part.seed for part in (profile.seeded(9).request, profile.seeded(9).bank)} == {9}
    assert faultless().request.error_rate == 0.0


@pytest.mark.parametrize(
    "fields", [{"median_ms": 0}, {"median_ms": 1, "slow_factor": 0}, {"median_ms": 1, "error_rate": 1.1}]
)
def test_impossible_settings_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="service model bank"):
        ServiceModel("bank", **fields)
