"""Estimates of the weekly review from additive sums: one arm, two arms side by side, and this week against the last. Pure.

Everything is a ratio `sum y / sum x` over customers (a rate, a mean, a cost per something), so that several conversations of one customer do not
look like several customers: `PairSums` of (y, x) per customer, errors by the delta method (`controlplane.core.estimates_ratio`).

- `one_arm`: a ratio with its interval; a rate by Wilson's at its effective number, so that it never leaves [0, 1].
- `compare`: assistant minus menu within strata of stage and share, weighted by `nT nC/(nT + nC)`: totals over a ramp are never pooled (Simpson).
  Both arms are standardised to the same strata, so their difference *is* the difference of the two numbers shown. A stratum with fewer than
  `STRATUM` customers in an arm borrows that arm's pooled error; a rate's error never falls below that of one event and one non-event more.
- `relative`: the same as a share of the menu's value (log ratio, delta method): resolution times.
- `rate_ratio`: two rare counts, exact (conditional binomial, Clopper-Pearson ends).
- `verdict`: what an interval shows against a margin.

Intervals are of one look: each week is judged once, from its own customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import NormalDist

from controlplane.core.estimates import wilson
from controlplane.core.estimates_ratio import PairSums
from controlplane.core.weekly import Estimate, Movement

FEW = 30  # customers an arm needs before anything is said about a difference
STRATUM = 30  # customers a stratum's arm needs for an error of its own

Strata = Mapping[int, tuple[PairSums, PairSums]]


@dataclass(frozen=True, slots=True)
class Compared:
    """Both arms standardised to the same strata, their difference, and how many strata could be compared; `weights` by stratum sum to 1."""

    assistant: Estimate
    menu: Estimate
    difference: Estimate
    strata: int
    weights: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class _Side:
    value: float
    error: float
    units: int


def z_of(level: float) -> float:
    """Two-sided normal quantile. Raises ValueError for a level outside (0, 1)."""
    if not 0.0 < level < 1.0:
        raise ValueError(
            f"level is {level}; the confidence of an interval lies strictly between 0 and 1, for example 0.95"
        )
    return NormalDist().inv_cdf(0.5 + level / 2.0)


def one_arm(
    sums: PairSums,
    level: float,
    *,
    rate: bool,
    scale: float = 1.0,
    maturity: float | None = None,
    units: int | None = None,
) -> Estimate:
    """The ratio of one arm; without a denominator the value is None, with fewer than two customers the interval.

    `n` of the estimate is the denominator (conversations, requests), or `units` where that is weighted; its error is that of customers.
    `scale` multiplies the value.
    """
    n = round(sums.x) if units is None else units
    if sums.x <= 0.0:
        return Estimate(value=None, maturity=maturity)
    value = sums.y / sums.x
    error = _error(sums)
    if error is None:
        return Estimate(value=value * scale, n=n, maturity=maturity)
    if rate:
        found = wilson(*_effective(value, error, sums), 1.0 - level)
        assert found is not None
        return _estimate(value, min(found.low, value), max(found.high, value), scale, n, maturity)
    if error == 0.0:  # nothing has varied: the error is unknown, not zero
        return Estimate(value=value * scale, n=n, maturity=maturity)
    half = z_of(level) * error
    return _estimate(value, value - half, value + half, scale, n, maturity)


def compare(
    strata: Strata, level: float, *, rate: bool, scale: float = 1.0, maturity: float | None = None
) -> Compared | None:
    """Assistant minus menu within strata; None while an arm has fewer than `FEW` customers in strata where both were served."""
    found = _standardised(strata, rate)
    if found is None:
        return None
    treated, control, weights = found
    half = z_of(level) * sqrt(treated.error**2 + control.error**2)
    difference = treated.value - control.value
    if half == 0.0:
        return None
    return Compared(
        _around(treated, level, scale, maturity, rate),
        _around(control, level, scale, maturity, rate),
        _estimate(difference, difference - half, difference + half, scale, treated.units + control.units, maturity),
        len(weights),
        weights,
    )


def relative(strata: Strata, level: float, *, scale: float = 1.0, maturity: float | None = None) -> Compared | None:
    """Assistant over menu minus 1, within strata; None as for `compare`, and where a mean is not positive."""
    found = _standardised(strata, rate=False)
    if found is None:
        return None
    treated, control, weights = found
    if min(treated.value, control.value) <= 0.0:
        return None
    half = z_of(level) * sqrt((treated.error / treated.value) ** 2 + (control.error / control.value) ** 2)
    ratio = log(treated.value / control.value)
    if half == 0.0:
        return None
    return Compared(
        _around(treated, level, scale, maturity),
        _around(control, level, scale, maturity),
        _estimate(
            exp(ratio) - 1, exp(ratio - half) - 1, exp(ratio + half) - 1, 1.0, treated.units + control.units, maturity
        ),
        len(weights),
        weights,
    )


def change(now: PairSums, before: PairSums, level: float, *, rate: bool, scale: float = 1.0) -> Estimate | None:
    """This week minus the week before, of one arm; None while a week has fewer than `FEW` customers, or nothing to divide by (nobody resolved)."""
    if min(now.n, before.n) < FEW or min(now.x, before.x) <= 0.0:
        return None
    sides = [_pooled_side(sums, rate) for sums in (now, before)]
    half = z_of(level) * sqrt(sum(side.error**2 for side in sides))
    if half == 0.0:
        return None
    moved = sides[0].value - sides[1].value
    return _estimate(moved, moved - half, moved + half, scale, round(now.x + before.x), None)


def rate_ratio(k_t: int, n_t: float, k_c: int, n_c: float, level: float) -> tuple[float, float] | None:
    """Ends of the ratio of two event rates, exact: given `k_t + k_c` events, those of the first arm are binomial with
    `p = n_t r/(n_t r + n_c)`. None without exposure in an arm, or without any event (then nothing is known of the ratio)."""
    if min(n_t, n_c) <= 0 or k_t + k_c == 0:
        return None
    from controlplane.core.estimates import clopper_pearson

    found = clopper_pearson(k_t, k_t + k_c, 1.0 - level)
    assert found is not None

    def ratio(p: float) -> float:
        return inf if p >= 1.0 else p / (1.0 - p) * n_c / n_t

    return ratio(found.low), ratio(found.high)


def verdict(difference: Estimate | None, margin: float, *, lower_is_better: bool) -> tuple[Movement, str]:
    """What an interval shows, with the reason in words: better than the menu at all, worse by less than the margin, worse, or cannot tell.

    Shown to be worse but perhaps by less than the margin is `worse`: a harm that is seen is not hidden behind what cannot be told.
    """
    if difference is None or difference.low is None or difference.high is None:
        return Movement.UNKNOWN, "too few customers in both arms at the same time"
    low, high = (difference.low, difference.high) if lower_is_better else (-difference.high, -difference.low)
    if high < 0.0:
        return Movement.IMPROVED, "the whole interval is better than the menu"
    if high < margin:
        return Movement.NOT_WORSE, "the whole interval is within the margin"
    if low > margin:
        return Movement.WORSE, "the whole interval is worse than the margin"
    if low > 0.0:
        return Movement.WORSE, "worse than the menu; whether by more than the margin cannot be told"
    return Movement.UNKNOWN, "the interval reaches from better than the menu to worse than the margin"


def _effective(value: float, error: float, sums: PairSums) -> tuple[float, float]:
    """Events and units that carry the same error as independent ones would; of a rate that is 0 or 1 the customers."""
    units = value * (1.0 - value) / error**2 if error > 0.0 and 0.0 < value < 1.0 else sums.n
    units = max(min(units, sums.x), 1.0)
    return min(value * units, units), units


def _error(sums: PairSums) -> float | None:
    """Error of the ratio by the delta method; None with fewer than two customers."""
    return (
        sqrt(_residual(sums) / (sums.n - 1.0) / sums.n) / (sums.x / sums.n) if sums.n >= 2.0 and sums.x > 0.0 else None
    )


def _residual(sums: PairSums) -> float:
    """`sum (y - R x)^2` with the arm's own ratio R."""
    if sums.x <= 0.0:
        return 0.0
    value = sums.y / sums.x
    spread = sums.yy - 2.0 * value * sums.xy + value * value * sums.xx
    return spread if spread > 1e-12 * max(sums.yy, value * value * sums.xx) else 0.0


def _floor(sums: PairSums, rate: bool) -> float:
    """Least variance of a customer's residual: for a rate that of one event and one non-event more."""
    if not rate:
        return 0.0
    p = (sums.y * sums.n / max(sums.x, 1.0) + 1.0) / (sums.n + 2.0)
    return max(p * (1.0 - p), 0.0) * (sums.x / sums.n) ** 2


def _pooled_side(sums: PairSums, rate: bool) -> _Side:
    variance = max(_residual(sums) / (sums.n - 1.0), _floor(sums, rate))
    return _Side(sums.y / sums.x, sqrt(variance / sums.n) / (sums.x / sums.n), round(sums.n))


def _standardised(strata: Strata, rate: bool) -> tuple[_Side, _Side, dict[int, float]] | None:
    both = {
        key: pair
        for key, pair in sorted(strata.items())
        if min(pair[0].n, pair[1].n) >= 1 and min(pair[0].x, pair[1].x) > 0
    }
    if not both or min(sum(pair[side].n for pair in both.values()) for side in (0, 1)) < FEW:
        return None
    raw = {key: t.n * c.n / (t.n + c.n) for key, (t, c) in both.items()}
    weights = {key: weight / sum(raw.values()) for key, weight in raw.items()}
    sides = tuple(_side([(weights[key], pair[side]) for key, pair in both.items()], rate) for side in (0, 1))
    return sides[0], sides[1], weights


def _side(parts: list[tuple[float, PairSums]], rate: bool) -> _Side:
    """One arm: the weighted mean of its strata and its error."""
    total = PairSums()
    for _, sums in parts:
        total = total + sums
    spare = sum(max(sums.n - 1.0, 0.0) for _, sums in parts)
    pooled = (
        sum(_residual(sums) for _, sums in parts) / spare if spare > 0.0 else _residual(total) / max(total.n - 1.0, 1.0)
    )
    pooled = max(pooled, _floor(total, rate))
    value = error = 0.0
    for weight, sums in parts:
        own = max(_residual(sums) / (sums.n - 1.0), _floor(sums, rate)) if sums.n >= STRATUM else pooled
        value += weight * sums.y / sums.x
        error += weight**2 * own / sums.n / (sums.x / sums.n) ** 2
    return _Side(value, sqrt(error), round(total.n))


def _around(side: _Side, level: float, scale: float, maturity: float | None, rate: bool = False) -> Estimate:
    half = z_of(level) * side.error
    low, high = side.value - half, side.value + half
    if rate:
        low, high = max(low, 0.0), min(high, 1.0)
    return _estimate(side.value, low, high, scale, side.units, maturity)


def _estimate(value: float, low: float, high: float, scale: float, n: int, maturity: float | None) -> Estimate:
    return Estimate(value=value * scale, low=low * scale, high=high * scale, n=n, maturity=maturity)
