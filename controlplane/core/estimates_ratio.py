"""Ratio metrics from sums of pairs, by the delta method.

Display only. A *pair* belongs to one unit: numerator and denominator (tokens and requests of a customer). Units must be what was randomised, or
errors are too small. Comparisons of two arms: `estimates_compare`.
"""

from dataclasses import dataclass, fields
from math import isfinite, sqrt

from controlplane.core.estimates import ROUNDING
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
