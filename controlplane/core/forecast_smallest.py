"""The smallest harm that a trigger finds while a stage lasts: the other way to read a plan (`controlplane.core.forecast`), and what people ask first.

A larger harm of one kind is found no later, so the smallest one is found by halving an interval on a log scale. Its size has an error of at most
`PRECISION`; it is rounded up, so that what is shown is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, log, log10

from controlplane.core.forecast import HIGHEST, HIGHEST_RATE, Detection, Expected, Outlook, detection, size_of
from controlplane.core.policy_model import Policy, Stage, Trigger

PRECISION = 0.02
LEAST_MULTIPLE = 1.02  # a harm at its limit is none: it is never found but by chance
STEPS = 24  # of halving: far more than PRECISION takes on any scale


@dataclass(frozen=True, slots=True)
class Smallest:
    """`found`: the smallest harm that is found within the stage, None when not even the largest is; `largest`: what becomes of that one."""

    trigger: str
    stage: Stage
    found: Detection | None
    largest: Detection


def smallest(policy: Policy, expected: Expected, trigger: Trigger, stage: Stage) -> Smallest:
    """The smallest harm that the trigger's stream of all traffic finds within the stage's least time at that traffic."""
    top = HIGHEST.get(trigger.kind, HIGHEST_RATE) / size_of(trigger)
    largest = detection(policy, expected, trigger, stage, top)
    if largest.outlook is not Outlook.WITHIN:
        return Smallest(trigger.name, stage, None, largest)
    low, high = log(LEAST_MULTIPLE), log(max(top, LEAST_MULTIPLE))
    for _ in range(STEPS):
        if high - low <= PRECISION:
            break
        middle = (low + high) / 2
        seen = detection(policy, expected, trigger, stage, exp(middle)).outlook is Outlook.WITHIN
        low, high = (low, middle) if seen else (middle, high)
    size = size_of(trigger)
    multiple = min(rounded_up(exp(high) * size) / size, top)
    return Smallest(trigger.name, stage, detection(policy, expected, trigger, stage, multiple), largest)


def rounded_up(value: float) -> float:
    """The next number with two digits that is not below `value`."""
    unit = 10.0 ** (ceil(log10(value)) - 2)
    return ceil(value / unit - 1e-9) * unit


def all_smallest(policy: Policy, expected: Expected) -> tuple[Smallest, ...]:
    """Every trigger at every stage with customers. Raises ValueError when there is no traffic to forecast for."""
    if not expected.per_minute > 0:
        raise ValueError(f"{expected.per_minute:g} units a minute: forecasts need a traffic above 0")
    stages = [stage for stage in policy.stages if stage.audience != "employees"]
    return tuple(smallest(policy, expected, trigger, stage) for trigger in policy.triggers for stage in stages)
