"""Estimates from sums of pairs: ratio metrics by the delta method, and CUPED (the difference that is left once the past is taken out).

Display only. A *pair* belongs to one unit: for a ratio metric, numerator and denominator (tokens and requests of a customer); for CUPED, outcome and
the same customer's value before the experiment (Deng, Xu, Kohavi, Walker, WSDM 2013). Units must be what was randomised, or errors are too small.
Intervals are asymptotic confidence sequences, valid however often they are looked at.
"""

from dataclasses import dataclass, fields
from math import isfinite, sqrt

from controlplane.core.estimates import ROUNDING, Interval, sequence_half_width
from controlplane.core.estimates_moments import Pairs


@dataclass(frozen=True, slots=True)
class PairSums:
    """Additive statistics of pairs (y, x) of one arm: units, sums, sums of squares and products. `+` merges exactly."""

    n: float = 0.0
    y: float = 0.0
    x: float = 0.0
    yy: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def __post_init__(self) -> None:
        if not all(isfinite(getattr(self, field.name)) for field in fields(self)) or min(self.n, self.yy, self.xx) < 0:
            raise ValueError(f"{self} are no sums of pairs; they must be finite, counts and squares not negative")

    def __add__(self, other: "PairSums") -> "PairSums":
        return PairSums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def mean_y(self) -> float:
        """Mean of y; ZeroDivisionError without units."""
        return self.y / self.n

    @property
    def mean_x(self) -> float:
        return self.x / self.n

    @property
    def variance_y(self) -> float:
        """Unbiased variance of y, for n >= 2; 0 where only rounding tells the values apart."""
        return self._spread(self.yy, self.y, self.y)

    @property
    def variance_x(self) -> float:
        return self._spread(self.xx, self.x, self.x)

    @property
    def covariance(self) -> float:
        return (self.xy - self.x * self.y / self.n) / (self.n - 1.0)

    def _spread(self, squares: float, one: float, other: float) -> float:
        spread = squares - one * other / self.n
        return spread / (self.n - 1.0) if spread > ROUNDING * squares else 0.0


def ratio(sums: Pairs) -> tuple[float, float] | None:
    """`sum y / sum x` and its standard error by the delta method; None with fewer than two units or a denominator that sums to 0.

    Variance: `(s_yy - 2 R s_xy + R^2 s_xx) / (n mean(x)^2)`.
    """
    if sums.n < 2.0 or sums.mean_x == 0.0:
        return None
    value = sums.mean_y / sums.mean_x
    spread = sums.variance_y - 2.0 * value * sums.covariance + value * value * sums.variance_x
    return value, sqrt(max(spread, 0.0) / sums.n) / abs(sums.mean_x)


def ratio_difference(treated: Pairs, control: Pairs, alpha: float, tightest: float = 5000.0) -> Interval | None:
    """Treated ratio minus control ratio with its sequence; None until both can be told and one of them has varied."""
    parts = ratio(treated), ratio(control)
    if parts[0] is None or parts[1] is None:
        return None
    error = sqrt(parts[0][1] ** 2 + parts[1][1] ** 2)
    return _around(parts[0][0] - parts[1][0], error, treated.n + control.n, alpha, tightest)


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A difference of means with the past taken out. `slope`: how much of it was taken, `reduction`: share of the variance that went with it."""

    interval: Interval
    slope: float
    reduction: float


def cuped(treated: Pairs, control: Pairs, alpha: float, tightest: float = 5000.0) -> Adjusted | None:
    """Treated minus control mean of y, less `slope` times that of x (the value before); None until both arms have varied.

    `slope` = covariance over variance of x, pooled within arms, so it is the same for both and does not bias the difference. An x that is
    constant (nobody has a past) leaves the difference as it is: reduction 0.
    """
    if min(treated.n, control.n) < 2.0:
        return None
    arms = (treated, control)
    past = sum((arm.n - 1.0) * arm.variance_x for arm in arms)
    slope = sum((arm.n - 1.0) * arm.covariance for arm in arms) / past if past > 0.0 else 0.0
    plain = sum(arm.variance_y / arm.n for arm in arms)
    rest = sum(
        max(arm.variance_y - 2.0 * slope * arm.covariance + slope * slope * arm.variance_x, 0.0) / arm.n for arm in arms
    )
    if plain <= 0.0:
        return None
    difference = treated.mean_y - control.mean_y - slope * (treated.mean_x - control.mean_x)
    found = _around(difference, sqrt(rest), treated.n + control.n, alpha, tightest)
    return None if found is None else Adjusted(found, slope, 1.0 - rest / plain)


def _around(estimate: float, error: float, units: float, alpha: float, tightest: float) -> Interval | None:
    half = float(sequence_half_width(error, units, alpha, tightest))
    return Interval(estimate, estimate - half, estimate + half) if error > 0.0 else None
