"""Metrics that have stopped: no data is a verdict, so a ramp does not grow, nor go on for long, on triggers that hear nothing.

- A trigger that acts must have heard something in this stage before the gate opens, where the phase asks for treated customers (`min_treated`).
- A metric that was heard in this stage and then is not, although customers go on being served, holds the ramp. How much should have come is
  reckoned from the metric's own data per counted customer before, so a quiet night expects nothing, and the hold needs `LEAST_EXPECTED` outcomes
  that are missing. It never rolls back, and ends like a hold for stale data: when the data is back and nothing has fired.

What people label comes when they have time: it is asked for by the gate alone. A judge whose sampling may fall to its base is expected to judge
that share only. Where execution is switched off, its calls are expected to stop.

A person who resumes lets go of what had fired, and the blocks of that trigger from before are void: their counts are taken as none, although the data
came. With a label that matures in hours they would look like a silence of hours, so for the hold a silence begins at the resumption at the earliest.
The gate, and who says that a metric is back, reckon without that grace.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controlplane.core.metrics import Family, metric
from controlplane.core.model import Action, Arm, MetricKind, TriggerReading
from controlplane.core.policy_model import Policy, Trigger

HEARD = "heard"
LEAST_EXPECTED = 20.0
ALL = "all"
Traffic = Callable[[Arm, datetime, datetime], tuple[int, int]]
"""Counted customers of an arm in this stage: before the first moment, and from it to the second."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a trigger has heard of one arm in this stage: outcomes, and the end of the last block that held any."""

    outcomes: int = 0
    last: datetime | None = None


def heard_after(
    before: Mapping[str, Any] | None, stage_version: int, end: datetime, readings: Iterable[TriggerReading]
) -> dict[str, Any]:
    """What a lane has heard, as plain values, after a block that ended at `end`; another stage begins anew."""
    same = before is not None and before.get("stage") == stage_version
    of: dict[str, Any] = dict(before["of"]) if same and before is not None else {}
    for reading in readings:
        if reading.segment != ALL:
            continue
        counts = reading.counts
        new = (sum(counts.k_t) or counts.n_t, sum(counts.k_c) or counts.n_c)
        old = of.get(reading.trigger, [[0, None], [0, None]])
        of[reading.trigger] = [
            [total + more, end.isoformat() if more else at] for (total, at), more in zip(old, new, strict=True)
        ]
    return {"stage": stage_version, "of": of}


def heard(states: Iterable[Mapping[str, Any]], stage_version: int) -> dict[str, dict[Arm, Heard]]:
    """Per trigger and arm, of all lanes, in this stage."""
    found: dict[str, dict[Arm, Heard]] = {}
    for state in states:
        plain = state.get(HEARD)
        if plain is None or plain["stage"] != stage_version:
            continue
        for name, arms in plain["of"].items():
            both = (Heard(n, None if at is None else datetime.fromisoformat(at)) for n, at in arms)
            found[name] = dict(zip((Arm.ASSISTANT, Arm.BASELINE), both, strict=True))
    return found


def acting(policy: Policy) -> tuple[Trigger, ...]:
    """Triggers that do more than page."""
    return tuple(trigger for trigger in policy.triggers if trigger.action is not Action.PAGE)


def unheard(policy: Policy, audience: str, told: Mapping[str, Mapping[Arm, Heard]]) -> tuple[str, ...]:
    """Triggers that act and have heard nothing in this stage. Employees have no control, so nothing can be compared among them."""
    found = []
    for trigger in acting(policy):
        compares = trigger.kind is not MetricKind.ONE_SAMPLE
        if compares and audience == "employees":
            continue
        arms = (Arm.ASSISTANT, Arm.BASELINE) if compares else (Arm.ASSISTANT,)
        if any(told.get(trigger.name, {}).get(arm, Heard()).outcomes == 0 for arm in arms):
            found.append(trigger.name)
    return tuple(sorted(found))


def silent(
    policy: Policy,
    told: Mapping[str, Mapping[Arm, Heard]],
    closed: Mapping[str, datetime],
    traffic: Traffic,
    *,
    execution_enabled: bool,
    enabled_at: datetime | None,
    resumed_at: datetime | None = None,
    muted: Collection[str] = (),
) -> tuple[str, ...]:
    """Metrics that have stopped, by name. `closed`: until when each lane has closed; `enabled_at`: when execution was last switched on;
    `resumed_at`: when a person last resumed (None: no grace for that); `muted`: triggers that a person has set aside."""
    found: set[str] = set()
    for trigger in acting(policy):
        family = metric(trigger.metric).family
        if trigger.name in muted or trigger.labels == "person" or (family is Family.CALL and not execution_enabled):
            continue
        share = _least_share(policy, family)
        for arm, mine in told.get(trigger.name, {}).items():
            if mine.last is None or trigger.lane not in closed:
                continue
            acts = (resumed_at, enabled_at if family is Family.CALL else None)
            since = max([mine.last, *(act for act in acts if act is not None)])
            until = closed[trigger.lane]
            if until - since < timedelta(seconds=policy.watch.freshness_seconds):
                continue
            before, after = traffic(arm, since, until)
            if before > 0 and mine.outcomes * after * share >= LEAST_EXPECTED * before:
                found.add(trigger.metric)
    return tuple(sorted(found))


def _least_share(policy: Policy, family: Family) -> float:
    """To what part of its earlier volume a metric may fall by itself."""
    if family is not Family.EVALUATION or policy.judge.sample_base <= 0.0:
        return 1.0
    return policy.judge.sample_base / max(policy.judge.sample_alert, policy.judge.sample_base)
