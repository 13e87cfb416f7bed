"""Checks of the comparison itself: is what is compared still an experiment? They hold the ramp and never roll back.

- `sample_ratio`: customers fall on the arms as the share of their block says (form 4 on units, two-sided). A customer counts
  once per rollout, with the first unit: the same customer falls on the same side again, so to count repeats would bet on
  one draw several times. In the first seconds of a stage clients may still serve the share before; they are left out.
- `aa_shadow`: the customers of the *control* arm, split in two halves by another salt, run through each two-sample and rating
  trigger, at the trigger's own margin. Nobody treats the halves differently, so an alarm says that noise inside a block is
  larger than the detectors allow for, and that alarms about the release mean little.
- `response_rate`: the shares of customers who answer the CSAT question differ by more than `validity.response_margin`. Ratings
  of arms that answer so differently are not ratings by the same kind of customers. One stream per direction: H0 is that the
  treated arm's non-answers (answers) exceed the control's by at most the margin, form 1 both times.

All of them share `budget.validity`, evenly, and have blocks of `validity.block_seconds`. Each waits as long as what it
compares takes to mature. A block without data has e = 1 and draws no weight, as in every stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from controlplane.core.metrics import METRICS
from controlplane.core.model import BlockCounts, MetricKind
from controlplane.core.policy import Policy, Trigger

SAMPLE_RATIO, AA_SHADOW, RESPONSE_RATE = "sample_ratio", "aa_shadow", "response_rate"
UNITS, RESPONSES = "units", "csat_response_rate"
ALL = "all"
LESS, MORE = "answers_less", "answers_more"
"""The segments of `response_rate`: what the treated arm does compared with the control."""
COMPARED = (MetricKind.TWO_SAMPLE, MetricKind.RATING, MetricKind.RATE_RATIO)


@dataclass(frozen=True, slots=True)
class Check:
    """One stream of a validity check.

    `metric`: what is compared. `segment`: "all", the shadowed trigger's name, or the direction. `kind`, `limit`: of the evidence
    form. `alpha`: its part of the checks' budget. `shadowed`: the trigger whose counts the control's halves are put through.
    `exact`: whether what is counted is independent.
    """

    name: str
    metric: str
    segment: str
    kind: str
    limit: float
    alpha: float
    maturity_seconds: int
    shadowed: Trigger | None = None
    exact: bool = True

    @property
    def icc(self) -> float:
        """The shadow is judged with the counts as its trigger sees them."""
        return 0.0 if self.shadowed is None else self.shadowed.icc


def checks(policy: Policy) -> tuple[Check, ...]:
    """The policy's validity checks with equal parts of `budget.validity`; empty where it asks for none."""
    validity = policy.validity
    found: list[Callable[[float], Check]] = []
    if validity.sample_ratio:
        found.append(lambda alpha: Check(SAMPLE_RATIO, UNITS, ALL, "sample_ratio", 1.0, alpha, 0))
    if validity.aa_shadow:
        found += [_shadow(trigger) for trigger in policy.triggers if trigger.kind in COMPARED]
    if validity.response_margin > 0:
        found += [_response(policy, direction) for direction in (LESS, MORE)]
    return tuple(make(policy.budget.validity / len(found)) for make in found)


def _shadow(trigger: Trigger) -> Callable[[float], Check]:
    wait = round(trigger.maturity_minutes * 60)
    entry = METRICS.get(trigger.metric)
    exact = entry is not None and entry.exact and trigger.icc == 0
    return lambda alpha: Check(
        AA_SHADOW, trigger.metric, trigger.name, str(trigger.kind), trigger.limit, alpha, wait, trigger, exact
    )


def _response(policy: Policy, direction: str) -> Callable[[float], Check]:
    rated = [trigger.maturity for trigger in policy.triggers if trigger.metric == "csat"]
    wait = max(rated, default=timedelta(days=1)) // timedelta(seconds=1)
    margin = policy.validity.response_margin
    return lambda alpha: Check(RESPONSE_RATE, RESPONSES, direction, "two_sample", margin, alpha, wait)


def compared(check: Check, counts: BlockCounts) -> BlockCounts:
    """The counts as the check's form reads them: for "answers less" the event is a missing answer."""
    if check.segment != LESS or check.name != RESPONSE_RATE:
        return counts
    return BlockCounts(
        metric=counts.metric,
        segment=counts.segment,
        start=counts.start,
        span_seconds=counts.span_seconds,
        n_t=counts.n_t,
        x_t=counts.n_t - counts.x_t,
        n_c=counts.n_c,
        x_c=counts.n_c - counts.x_c,
        last_batch=counts.last_batch,
    )


def grace(policy: Policy) -> timedelta:
    """How long after a share change a client may still serve the share before."""
    return timedelta(seconds=policy.watch.client_poll_seconds + policy.watch.flag_max_age_seconds)


_WHAT: Mapping[str, str] = {
    SAMPLE_RATIO: "the arms do not get the customers that the share says",
    LESS: "customers of the treated arm answer the CSAT question less often than the control's, beyond the margin",
    MORE: "customers of the treated arm answer the CSAT question more often than the control's, beyond the margin",
}


def finding(check: Check) -> str:
    """What an alarm of the check says, in words."""
    if check.name == AA_SHADOW:
        return (
            f"two halves of the control arm differ by more than the limit of {check.segment}: noise in {check.metric} is larger "
            "than its test allows for"
        )
    return _WHAT[check.segment if check.name == RESPONSE_RATE else check.name]
