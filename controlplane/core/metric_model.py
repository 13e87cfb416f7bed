"""What a metric of the catalogue is: its unit, direction, kind, what it counts and when its label is final. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from controlplane.core.model import MetricKind

ALL_SEGMENTS = "all"
CONTACT_WINDOW = timedelta(hours=72)
_NONE = timedelta(0)


class DisplayKind(StrEnum):
    """How a metric is computed that people read but no trigger judges."""

    RATE = "rate"  # events among units
    RATIO = "ratio"  # a total over a count
    QUANTILE = "quantile"  # from the latency histogram
    COUNT = "count"
    DISTRIBUTION = "distribution"  # shares of a whole


class Direction(StrEnum):
    """Which way is better; volumes are neither."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Family(StrEnum):
    """What is counted, and which time places it in a block."""

    CONVERSATION = "conversation"
    REQUEST = "request"
    CALL = "call"
    EVALUATION = "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `numerator` and `denominator` are in words (a count has none), `sql` reads it for any window."""

    name: str
    title: str
    unit: str
    kind: MetricKind | DisplayKind
    family: Family
    comparable: bool
    numerator: str
    denominator: str = ""
    direction: Direction = Direction.LOWER
    maturity: timedelta = _NONE
    exact: bool = False
    scale: float = 1.0
    sql: str = "views/window"

    @property
    def decides(self) -> bool:
        """Whether block counts exist for it, so that a trigger or a certificate may name it."""
        return isinstance(self.kind, MetricKind)

    def value(self, n: int, x: int, total: float) -> float | None:
        """The metric from its sums: `n` units, `x` events, `total` of the measured values; None without data.

        Raises ValueError for quantiles and distributions, which are no function of these sums.
        """
        if self.kind is DisplayKind.COUNT:
            return float(n)
        if self.kind in (DisplayKind.QUANTILE, DisplayKind.DISTRIBUTION):
            raise ValueError(f"{self.name} is a {self.kind}, which sums can't tell: read it with {self.sql}")
        if n == 0:
            return None
        return self.scale * (total if self.kind in (MetricKind.RATING, DisplayKind.RATIO) else x) / n
