"""The smallest harm that is found while a stage lasts: at the edge between found and not found, and never smaller than what is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.forecast import Expected, Outlook, detection, plan, size_of
from controlplane.core.forecast_smallest import PRECISION, all_smallest, rounded_up, smallest
from controlplane.core.policy import parse
from controlplane.settings import shipped_policy

POLICY = parse(shipped_policy("demo"))
TRAFFIC = Expected(per_minute=120, rated_share=0.5, audited_share=0.15)


def test_what_is_shown_is_found_and_what_is_clearly_smaller_is_not() -> None:
    found = all_smallest(POLICY, TRAFFIC)
    stages = {stage.index for stage in POLICY.stages if stage.audience != "employees"}
    assert {one.stage.index for one in found} == stages
    triggers = {trigger.name: trigger for trigger in POLICY.triggers}
    seen = [one for one in found if one.found is not None]
    assert 20 < len(seen) < len(found), "some are blind"
    for one in seen:
        assert one.found is not None
        assert one.found.outlook is Outlook.WITHIN
        trigger = triggers[one.trigger]
        smaller = one.found.multiple / (1 + 3 * PRECISION + 0.1)  # its precision, and the rounding to two digits
        if smaller > 1.03:
            assert detection(POLICY, TRAFFIC, trigger, one.stage, smaller).outlook is not Outlook.WITHIN
        assert one.found.effect == pytest.approx(size_of(trigger) * one.found.multiple)


def test_blind_means_that_the_largest_harm_is_not_found_either() -> None:
    planned = {(one.trigger, one.stage.index, one.outlook) for one in plan(POLICY, TRAFFIC).detections}
    for one in all_smallest(POLICY, TRAFFIC):
        if one.found is None:
            assert one.largest.outlook is not Outlook.WITHIN
            assert (one.trigger, one.stage.index, Outlook.WITHIN) not in planned, "the plan sees nothing there either"


def test_more_traffic_never_hides_a_harm() -> None:
    stage = POLICY.stages[2]
    for trigger in POLICY.triggers:
        sizes = []
        for pace in (20.0, 200.0, 2000.0):
            found = smallest(POLICY, replace(TRAFFIC, per_minute=pace), trigger, stage).found
            sizes.append(float("inf") if found is None else found.effect)
        assert sizes[0] >= sizes[1] / 1.1 >= sizes[2] / 1.21, trigger.name


@given(st.floats(1e-4, 1e3))
def test_rounding_never_promises_more(value: float) -> None:
    found = rounded_up(value)
    assert value * (1 - 1e-9) <= found <= value * 1.1 + 1e-12
    assert float(f"{found:.2g}") == pytest.approx(found)


def test_without_traffic_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="need a traffic above 0"):
        all_smallest(POLICY, Expected(per_minute=0))
