"""The three measurements of the trade-off, from additive sums: satisfaction, latency, cost of a resolved conversation.

- Satisfaction: the exact e-process of the evidence engine's form 2 on ratings, both ways at a difference of 0 (plain product, each way at alpha/2):
  an uplift is certified when the evidence against "not better in any block" has ever reached 2/alpha, a drop likewise. Ratings are compared
  inside blocks of one share only, so neither a ramp nor a drift over the day can show as an effect.
- Latency: share of first requests slower than the objective, Clopper-Pearson; p95 <= SLO is the same statement as at most 5 % slower.
- Cost: model cost (and the cost of a person, where one is given) of all mature conversations over those resolved without a person; delta
  method for the ratio. Requests whose price is unknown make the cost a lower bound: it can then be above its target, never within.

Every value says how many it rests on; what the data cannot decide is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from controlplane.analysis.tradeoff import Cost, Latency, Satisfaction, dollars
from controlplane.core.estimates import Interval, clopper_pearson, exact_sequence
from controlplane.core.evidence.forms import FORMS, RATING_BETS, score_log_e

MIN_RATINGS = 30  # in each arm; below, the ratings are an anecdote
MAX_UNPRICED = 0.01  # share of requests without a price up to which a cost may count as within its target
Z95 = 1.959963984540054
Ratings = Sequence[Sequence[int]]  # per block, the counts of 1..5


@dataclass(frozen=True, slots=True)
class SatisfactionFound:
    """`interval`: mean rating of the treated minus the control, exact (1 - alpha); None where no constant difference fits."""

    verdict: Satisfaction
    treated: int
    control: int
    blocks: int
    mean_treated: float | None
    mean_control: float | None
    log_better: float
    log_worse: float
    log_threshold: float
    interval: Interval | None
    reason: str


@dataclass(frozen=True, slots=True)
class LatencyFound:
    """`interval`: share of first requests slower than `slo_ms`, against `limit`."""

    verdict: Latency
    requests: int
    slow: int
    p95_ms: float | None
    slo_ms: float | None
    limit: float | None
    interval: Interval | None
    reason: str


@dataclass(frozen=True, slots=True)
class ArmCost:
    """Sums of one arm over mature conversations; US dollars. `persons` were handed over, `cost_persons` is their model cost."""

    conversations: int = 0
    outcomes: int = 0
    resolved: int = 0
    persons: int = 0
    cost: float = 0.0
    cost_sq: float = 0.0
    cost_resolved: float = 0.0
    cost_persons: float = 0.0
    requests: int = 0
    unpriced: int = 0

    @property
    def unpriced_share(self) -> float:
        """Share of the requests with tokens whose price is unknown."""
        return self.unpriced / self.requests if self.requests else 0.0

    def per_resolved(self, person_cost: float) -> tuple[float, float] | None:
        """US dollars per resolved conversation and its standard error (delta method); None without resolved ones."""
        if self.resolved == 0 or self.conversations < 2:
            return None
        n, r = self.conversations, self.resolved
        total = self.cost + person_cost * self.persons
        squares = self.cost_sq + 2 * person_cost * self.cost_persons + person_cost**2 * self.persons
        ratio = total / r
        # sum of (cost_i - ratio resolved_i)^2: its mean is 0 at the estimate; nobody is both resolved alone and handed over
        spread = max(squares - 2 * ratio * self.cost_resolved + ratio**2 * r, 0.0)
        return ratio, sqrt(spread * n / (n - 1)) / r


@dataclass(frozen=True, slots=True)
class CostFound:
    """`interval`: US dollars per resolved conversation of the treated arm. `target`: what it is compared with, `against`: where that comes from."""

    verdict: Cost
    conversations: int
    resolved: int
    unpriced_share: float
    interval: Interval | None
    target: float | None
    against: str
    difference: Interval | None
    reason: str


def satisfaction(treated: Ratings, control: Ratings, alpha: float) -> SatisfactionFound:
    """Ratings per block, `(T, 5)` each, oldest block first."""
    k_t, k_c = (np.asarray(k, dtype=np.float64).reshape(-1, 5) for k in (treated, control))
    both = (k_t.sum(axis=1) > 0) & (k_c.sum(axis=1) > 0)
    n_t, n_c = int(k_t.sum()), int(k_c.sum())
    better, worse = (_largest_evidence(k_t, k_c, sign) for sign in (-1.0, 1.0))
    threshold = log(2.0 / alpha)
    compared = min(int(k_t[both].sum()), int(k_c[both].sum()))
    found = exact_sequence("rating", {"kT": k_t, "kC": k_c}, alpha) if both.any() else None
    verdict, reason = _judge_ratings(compared, better, worse, threshold)
    means = tuple(float(k.sum(axis=0) @ np.arange(1.0, 6.0) / k.sum()) if k.sum() else None for k in (k_t, k_c))
    return SatisfactionFound(
        verdict, n_t, n_c, int(both.sum()), means[0], means[1], better, worse, threshold, found, reason
    )


def _judge_ratings(compared: int, better: float, worse: float, threshold: float) -> tuple[Satisfaction, str]:
    if compared < MIN_RATINGS:
        return (
            Satisfaction.UNKNOWN,
            f"{compared} mature ratings in one of the arms where both have some; {MIN_RATINGS} are asked",
        )
    if worse >= threshold:
        return Satisfaction.DROP, "the evidence that it is worse has crossed its threshold"
    if better >= threshold:
        return Satisfaction.UPLIFT, "the evidence that it is better has crossed its threshold"
    return Satisfaction.NOT_CERTIFIED, "neither better nor worse has been shown"


def _largest_evidence(k_t: np.ndarray, k_c: np.ndarray, sign: float) -> float:
    """Largest log of the mean product so far at a difference of 0; sign 1: treated less satisfied, -1: more."""
    if not len(k_t):
        return 0.0
    columns = {"kT": k_t, "kC": k_c}
    learn = FORMS["rating"].learn(columns)
    log_e = score_log_e(columns, np.cumsum(learn, axis=0) - learn, 0.0, RATING_BETS, sign)
    log_mean = np.logaddexp.reduce(np.cumsum(log_e, axis=0), axis=-1) - log(len(RATING_BETS))
    return max(0.0, float(log_mean.max()))


def latency(
    requests: int, slow: int, p95_ms: float | None, slo_ms: float | None, limit: float | None, alpha: float = 0.05
) -> LatencyFound:
    """First requests of the treated arm against the objective; None without one."""
    found = clopper_pearson(slow, requests, alpha)

    def said(verdict: Latency, reason: str) -> LatencyFound:
        return LatencyFound(verdict, requests, slow, p95_ms, slo_ms, limit, found, reason)

    if slo_ms is None or limit is None:
        return said(Latency.UNKNOWN, "the policy has no trigger on slow_share: name an objective with --slo-ms")
    if found is None:
        return said(Latency.UNKNOWN, "no first request with a latency")
    if found.high <= limit:
        return said(Latency.WITHIN, f"at most {found.high:.1%} are slower than {slo_ms:g} ms; {limit:.1%} may be")
    if found.low > limit:
        return said(Latency.BEYOND, f"at least {found.low:.1%} are slower than {slo_ms:g} ms; {limit:.1%} may be")
    return said(
        Latency.UNKNOWN,
        f"{found.low:.1%} to {found.high:.1%} are slower than {slo_ms:g} ms, on both sides of {limit:.1%}",
    )


def cost(treated: ArmCost, control: ArmCost, target: float | None, person_cost: float) -> CostFound:
    """The treated arm against the target, else against what the control costs; unknown where there is neither."""
    own, other = treated.per_resolved(person_cost), control.per_resolved(person_cost)
    against = "--target-cost" if target is not None else "the control arm"
    interval = None if own is None else Interval(own[0], own[0] - Z95 * own[1], own[0] + Z95 * own[1])
    line = target if target is not None else other[0] if other is not None and other[0] > 0 else None
    error = 0.0 if target is not None or other is None else other[1]
    difference = None
    if own is not None and line is not None:
        half = Z95 * sqrt(own[1] ** 2 + error**2)
        difference = Interval(own[0] - line, own[0] - line - half, own[0] - line + half)
    verdict, reason = _judge_cost(treated, difference, line is not None)
    return CostFound(
        verdict,
        treated.conversations,
        treated.resolved,
        treated.unpriced_share,
        interval,
        line,
        against if line is not None else "nothing",
        difference,
        reason,
    )


def _judge_cost(treated: ArmCost, difference: Interval | None, has_line: bool) -> tuple[Cost, str]:
    if treated.resolved == 0:
        return Cost.UNKNOWN, "no mature conversation that was resolved without a person"
    if not has_line:
        return Cost.UNKNOWN, "nothing to compare with: name --target-cost, or what a person costs with --person-cost"
    if difference is None:
        return Cost.UNKNOWN, "too few mature conversations"
    if difference.low > 0:
        return Cost.ABOVE, f"{dollars(difference.low)} or more above its line per resolved conversation"
    if difference.high > 0:
        return Cost.UNKNOWN, "the interval lies on both sides of its line"
    if treated.unpriced_share > MAX_UNPRICED:
        return Cost.UNKNOWN, f"{treated.unpriced_share:.1%} of the requests have no price, so the cost is a lower bound"
    return Cost.WITHIN, f"{dollars(-difference.high)} or more below its line per resolved conversation"
