"""Treated against control from moments: one look (Welch) and any number of looks (sequence), absolute and relative, within strata.

- A *Group* is one arm in one stratum: units, mean and variance of one unit. A plain mean, a rate, a ratio (delta method) and a mean with the past
  taken out (CUPED) all become groups, so one function compares them.
- `compare` never pools arms over strata: over a ramp the share of the treated and the baseline both change with time, and pooled totals then differ
  without any effect (Simpson). Differences are taken within each stratum and averaged with the weights `nT nC/(nT + nC)`; with one stratum that is
  Welch's t-test.
- The relative difference is `mean_T/mean_C - 1` with the delta method on the logarithm, so its interval is never below -100 %.

Asymptotic: the intervals hold for many units. What the data cannot carry is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from controlplane.core.estimates import ROUNDING, Interval, sequence_half_width, sequence_log_evidence
from controlplane.core.estimates_moments import PairMoments, Pairs, merged
from controlplane.core.estimates_ratio import ratio

LEAST_DIFFERENT = 5.0


@dataclass(frozen=True, slots=True)
class Group:
    """One arm in one stratum: units, mean, unbiased variance of one unit. The mean is `near + mean`, see `PairMoments`."""

    n: float
    mean: float
    variance: float
    near: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Treated minus control over the strata that have both. `fixed`: interval for one look, `anytime`: for any number of looks.

    `error`: standard error. `relative` is None where the means do not share one sign. `log_e`: log of the sequence's e-value. n and means are of the
    units in those strata, means with the strata's weights (so they differ by `fixed.estimate`).
    """

    n_t: float
    n_c: float
    mean_t: float
    mean_c: float
    error: float
    degrees: float
    p: float
    fixed: Interval
    anytime: Interval
    log_e: float
    relative: Interval | None
    strata: int


def plain_groups(arm: Mapping[str, PairMoments]) -> dict[str, Group]:
    """Strata with at least two units, as groups of the mean of y."""
    return {
        name: Group(pairs.n, pairs.off_y, pairs.variance_y, pairs.near_y)
        for name, pairs in arm.items()
        if pairs.n >= 2.0
    }


def ratio_groups(arm: Mapping[str, Pairs]) -> dict[str, Group]:
    """The same of `sum y / sum x`; a stratum whose denominator sums to 0 is left out."""
    found = {}
    for name, pairs in arm.items():
        known = ratio(pairs)
        if known is not None:
            found[name] = Group(pairs.n, known[0], known[1] ** 2 * pairs.n)
    return found


@dataclass(frozen=True, slots=True)
class Past:
    """What CUPED took out: `slope` of y on x, and its intercept (both 0 where x does not vary)."""

    slope: float
    intercept: float


def cuped_groups(
    treated: Mapping[str, PairMoments], control: Mapping[str, PairMoments]
) -> tuple[dict[str, Group], dict[str, Group], Past]:
    """Groups of y with the past x taken out, and how much of it: one slope for both arms, from both together within each stratum.

    Deng, Xu, Kohavi, Walker (WSDM 2013): `y - slope (x - mean x)`, slope = cov(y, x)/var(x) over all units of the two arms.
    """
    names = [name for name in treated if name in control and min(treated[name].n, control[name].n) >= 2.0]
    totals = {name: merged((treated[name], control[name])) for name in names}
    spread = sum(total.xx for total in totals.values())
    # what is one value within each arm leaves nothing to explain (their merged squares may be rounding alone)
    varies = spread > 0.0 and any(max(treated[name].yy, control[name].yy) > 0.0 for name in names)
    slope = sum(total.xy for total in totals.values()) / spread if varies else 0.0
    every = merged(totals.values())

    def group(pairs: PairMoments, name: str) -> Group:
        explained = slope * slope * pairs.variance_x
        left = pairs.variance_y - 2.0 * slope * pairs.covariance + explained
        # what rounding alone leaves of values that the past tells exactly is no variance
        variance = left if left > ROUNDING * (pairs.variance_y + explained) else 0.0
        return Group(pairs.n, pairs.off_y - slope * pairs.above_x(totals[name]), variance, pairs.near_y)

    past = Past(slope, every.mean_y - slope * every.mean_x if slope else 0.0)
    return (
        {name: group(treated[name], name) for name in names},
        {name: group(control[name], name) for name in names},
        past,
    )


def compare(
    treated: Mapping[str, Group], control: Mapping[str, Group], alpha: float, tightest: float = 5000.0
) -> Difference | None:
    """Treated minus control; None until a stratum has two units in each arm and the error can be told.

    An arm whose values are all one looks exactly known. It is compared only where it would be expected to hold `LEAST_DIFFERENT` other values if it
    were like the other arm: a share of at least `d^2/(d^2 + variance)` of that arm's values differ from a constant at distance d (Cauchy-Schwarz).
    """
    pairs = [(treated[name], control[name]) for name in treated if name in control]
    pairs = [(t, c) for t, c in pairs if min(t.n, c.n) >= 2.0]
    weights = [t.n * c.n / (t.n + c.n) for t, c in pairs]
    if not pairs:
        return None
    total = sum(weights)
    shares = [weight / total for weight in weights]
    mean_t = sum(share * (t.near + t.mean) for share, (t, _) in zip(shares, pairs, strict=True))
    mean_c = sum(share * (c.near + c.mean) for share, (_, c) in zip(shares, pairs, strict=True))
    estimate = sum(share * ((t.near - c.near) + (t.mean - c.mean)) for share, (t, c) in zip(shares, pairs, strict=True))
    parts_t = [(share * share * t.variance / t.n, t.n - 1.0) for share, (t, _) in zip(shares, pairs, strict=True)]
    parts_c = [(share * share * c.variance / c.n, c.n - 1.0) for share, (_, c) in zip(shares, pairs, strict=True)]
    error = sqrt(sum(part for part, _ in (*parts_t, *parts_c)))
    if error <= 0.0:
        return None
    n_t, n_c = sum(t.n for t, _ in pairs), sum(c.n for _, c in pairs)
    for flat, parts, other in ((n_t, parts_t, 1), (n_c, parts_c, 0)):
        if not any(part for part, _ in parts):
            spread = sum(share * pair[other].variance for share, pair in zip(shares, pairs, strict=True))
            if flat * estimate * estimate < LEAST_DIFFERENT * (estimate * estimate + spread):
                return None
    degrees = _degrees((*parts_t, *parts_c))
    half = float(sequence_half_width(error, n_t + n_c, alpha, tightest))
    fixed_half = _quantile(alpha, degrees) * error
    return Difference(
        n_t=n_t,
        n_c=n_c,
        mean_t=mean_t,
        mean_c=mean_c,
        error=error,
        degrees=degrees,
        p=_two_sided(estimate / error, degrees),
        fixed=Interval(estimate, estimate - fixed_half, estimate + fixed_half),
        anytime=Interval(estimate, estimate - half, estimate + half),
        log_e=float(sequence_log_evidence(estimate / error, n_t + n_c, alpha, tightest)),
        relative=_relative(mean_t, mean_c, parts_t, parts_c, alpha),
        strata=len(pairs),
    )


def anytime_p(log_e: float) -> float:
    """The p-value that holds at any look: `min(1, 1/e)`."""
    return exp(-max(log_e, 0.0))


Parts = Sequence[tuple[float, float]]  # variance of a mean, its degrees of freedom


def _relative(mean_t: float, mean_c: float, parts_t: Parts, parts_c: Parts, alpha: float) -> Interval | None:
    """Delta method on `log(mean_T/mean_C)`; None where that is not defined."""
    if mean_t * mean_c <= 0.0:
        return None
    parts = [(part / mean_t / mean_t, free) for part, free in parts_t]
    parts += [(part / mean_c / mean_c, free) for part, free in parts_c]
    half = _quantile(alpha, _degrees(parts)) * sqrt(sum(part for part, _ in parts))
    middle = log(mean_t / mean_c)
    low, high = (exp(min(end, 700.0)) - 1.0 for end in (middle - half, middle + half))
    return Interval(mean_t / mean_c - 1.0, low, high)


def _degrees(parts: Parts) -> float:
    """Welch-Satterthwaite degrees of freedom of a sum of variances."""
    largest = max(part for part, _ in parts)  # taken out, so that squares of tiny variances do not vanish
    scaled = [(part / largest, free) for part, free in parts]
    return sum(part for part, _ in scaled) ** 2 / sum(part * part / free for part, free in scaled)


def _quantile(alpha: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(-stdtrit(degrees, alpha / 2.0))


def _two_sided(t: float, degrees: float) -> float:
    from scipy.special import stdtr

    return min(1.0, 2.0 * float(stdtr(degrees, -abs(t))))
