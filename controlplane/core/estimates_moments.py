"""Moments of pairs (y, x): units, means, variances and covariance, from sums taken around a point near the mean, merged exactly.

`sum(y^2) - sum(y)^2/n` loses all digits where the mean is large against the spread. So the sums are of `y - a` with `a` near the mean (two passes:
the mean first, then sums around it), and arms are merged by the pairwise update (Chan, Golub, LeVeque, American Statistician 37, 1983).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import isfinite, sqrt
from typing import Protocol

from controlplane.core.estimates import ROUNDING


class Pairs(Protocol):
    """What estimates of pairs need of one arm: `PairSums` or `PairMoments`."""

    @property
    def n(self) -> float: ...
    @property
    def mean_y(self) -> float: ...
    @property
    def mean_x(self) -> float: ...
    @property
    def variance_y(self) -> float: ...
    @property
    def variance_x(self) -> float: ...
    @property
    def covariance(self) -> float: ...


@dataclass(frozen=True, slots=True)
class PairMoments:
    """Moments of pairs of one arm. `+` merges exactly.

    The mean is `near + off`: `near_y`, `near_x` a point near all means, `off_y`, `off_x` what is left, so that differences of means keep the digits
    that a large mean would take. `yy`, `xx`, `xy`: sums of squares and products around the means.
    """

    n: float = 0.0
    off_y: float = 0.0
    off_x: float = 0.0
    yy: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    near_y: float = 0.0
    near_x: float = 0.0

    def __post_init__(self) -> None:
        if not all(isfinite(getattr(self, field.name)) for field in fields(self)) or min(self.n, self.yy, self.xx) < 0:
            raise ValueError(f"{self} are no moments of pairs; they must be finite, counts and squares not negative")

    @classmethod
    def around(
        cls, near: tuple[float, float], n: float, y: float, x: float, yy: float, xx: float, xy: float
    ) -> PairMoments:
        """From sums around the point `near` = (a, b): y = sum(y - a), x = sum(x - b), yy = sum((y - a)^2), xx, and xy of the products.

        Squares are 0 where only rounding tells the values apart.
        """
        if n <= 0:
            return cls()
        return cls(n, y / n, x / n, _centred(yy, y, n), _centred(xx, x, n), xy - y * x / n, *near)

    def __add__(self, other: PairMoments) -> PairMoments:
        n = self.n + other.n
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        dy, dx = other.above_y(self), other.above_x(self)
        part, both = other.n / n, self.n * other.n / n
        return PairMoments(
            n,
            self.off_y + dy * part,
            self.off_x + dx * part,
            self.yy + other.yy + dy * dy * both,
            self.xx + other.xx + dx * dx * both,
            self.xy + other.xy + dy * dx * both,
            self.near_y,
            self.near_x,
        )

    def above_y(self, other: PairMoments) -> float:
        """By how much the mean of y is above the other's."""
        return (self.near_y - other.near_y) + (self.off_y - other.off_y)

    def above_x(self, other: PairMoments) -> float:
        """By how much the mean of x is above the other's."""
        return (self.near_x - other.near_x) + (self.off_x - other.off_x)

    @property
    def mean_y(self) -> float:
        """Mean of y; 0 without units."""
        return self.near_y + self.off_y

    @property
    def mean_x(self) -> float:
        """Mean of x; 0 without units."""
        return self.near_x + self.off_x

    @property
    def variance_y(self) -> float:
        """Unbiased variance of y, for n >= 2."""
        return self.yy / (self.n - 1.0)

    @property
    def variance_x(self) -> float:
        """Unbiased variance of x, for n >= 2."""
        return self.xx / (self.n - 1.0)

    @property
    def covariance(self) -> float:
        """Unbiased covariance, for n >= 2."""
        return self.xy / (self.n - 1.0)


def merged(parts: Iterable[PairMoments]) -> PairMoments:
    """All of them as one."""
    total = PairMoments()
    for part in parts:
        total = total + part
    return total


def _centred(squares: float, total: float, n: float) -> float:
    spread = squares - total * total / n
    return spread if spread > ROUNDING * squares else 0.0


@dataclass(frozen=True, slots=True)
class Anova:
    """One-way analysis of variance: do k arms share one mean? `p` is None where `f` is infinite or nothing varies."""

    f: float | None
    p: float | None
    between: int
    within: int
    r_squared: float | None
    residual_sd: float


def one_way(arms: Iterable[PairMoments]) -> Anova | None:
    """The omnibus F test over the arms' y (equal variances assumed); None with fewer than two arms or no degree of freedom left."""
    said = [arm for arm in arms if arm.n > 0]
    n = sum(arm.n for arm in said)
    if len(said) < 2 or n <= len(said):
        return None
    inside = sum(arm.yy for arm in said)
    total = merged(said)
    across = sum(arm.n * arm.above_y(total) ** 2 for arm in said)
    k, rest = len(said) - 1, int(n) - len(said)
    share = across / (across + inside) if across + inside > 0.0 else None
    if inside <= 0.0:
        return Anova(None, None, k, rest, share, 0.0)
    from scipy.special import fdtrc

    f = (across / k) / (inside / rest)
    return Anova(f, float(fdtrc(k, rest, f)), k, rest, share, sqrt(inside / rest))
