"""A rate in everything that was answered, from answers drawn with unequal but known probabilities.

- Point: Hajek's ratio of Horvitz-Thompson totals, sum(w y) / sum(w), w = 1/probability (Hajek, in Foundations of Statistical Inference, 1971).
- Drawn but not labelled: within a class (answers with the same leading reason) the labelled ones stand for all drawn, so w is divided by the
  class's weighted share of labelled ones. A class without any label is not covered: the interval takes its answers as all right and as all wrong.
- Interval: linearised variance between conversations as ultimate clusters, (m/(m-1)) sum_c (sum_{i in c} w_i (y_i - rate))^2 / (sum w)^2; from it an
  effective number of labels, and the exact binomial interval for that number (Korn and Graubard, Survey Methodology 24, 1998). At rates 0 and 1 the
  variance is 0 and says nothing: there the effective number is Kish's, (sum w)^2 / sum w^2. It is never taken above the number of labels.
- Beside it the naive rate: the share among the labelled, as if the queue were the traffic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from statistics import NormalDist
from typing import Any

from controlplane.core.estimates import clopper_pearson


@dataclass(frozen=True, slots=True)
class Seen:
    """A drawn answer: whether it is a hit (None: not labelled for this), its probability of being drawn, its conversation and its class."""

    hit: bool | None
    probability: float
    cluster: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class WeightedRate:
    """`rate` None: nothing is labelled. `n` of `drawn` are labelled; `covered`: share of the answers that the labelled classes stand for."""

    rate: float | None
    low: float
    high: float
    n: int
    drawn: int
    effective_n: float
    covered: float
    naive: float | None
    naive_low: float
    naive_high: float
    level: float

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def weighted_rate(seen: Sequence[Seen], level: float = 0.95) -> WeightedRate:
    """The rate of hits. Raises ValueError for a probability outside (0, 1]."""
    for one in seen:
        if not (isfinite(one.probability) and 0.0 < one.probability <= 1.0):
            raise ValueError(f"probability {one.probability}: an answer that cannot be drawn stands for nothing")
    known = [one for one in seen if one.hit is not None]
    hits, n = sum(one.hit is True for one in known), len(known)
    if n == 0:
        return WeightedRate(None, 0.0, 1.0, 0, len(seen), 0.0, 0.0, None, 0.0, 1.0, level)
    drawn_weight, known_weight = _weights(seen), _weights(known)
    covered = sum(drawn_weight[group] for group in known_weight) / sum(drawn_weight.values())
    weights = [drawn_weight[one.group] / known_weight[one.group] / one.probability for one in known]
    total = sum(weights)
    rate = min(1.0, sum(w for w, one in zip(weights, known, strict=True) if one.hit) / total)
    effective = _effective(known, weights, rate, level)
    found = clopper_pearson(rate * effective, effective, 1.0 - level)
    naive = clopper_pearson(hits, n, 1.0 - level)
    assert found is not None  # there are labels
    assert naive is not None
    return WeightedRate(
        rate=rate,
        low=found.low * covered,
        high=found.high * covered + (1.0 - covered),
        n=n,
        drawn=len(seen),
        effective_n=effective,
        covered=covered,
        naive=hits / n,
        naive_low=naive.low,
        naive_high=naive.high,
        level=level,
    )


def _weights(seen: Sequence[Seen]) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for one in seen:
        found[one.group] += 1.0 / one.probability
    return found


def _effective(known: Sequence[Seen], weights: Sequence[float], rate: float, level: float) -> float:
    n, total = len(known), sum(weights)
    residuals: dict[str, float] = defaultdict(float)
    for w, one in zip(weights, known, strict=True):
        residuals[one.cluster] += w * ((1.0 if one.hit else 0.0) - rate)
    m = len(residuals)
    variance = sum(value**2 for value in residuals.values()) / total**2
    if m < 2 or variance <= 0.0 or not 0.0 < rate < 1.0:
        return min(float(m), total**2 / sum(w**2 for w in weights))  # one conversation's answers are alike
    from scipy import stats

    tail = 0.5 + level / 2.0
    few = (NormalDist().inv_cdf(tail) / float(stats.t.ppf(tail, m - 1))) ** 2
    return min(float(n), rate * (1.0 - rate) / (variance * m / (m - 1)) * few)
