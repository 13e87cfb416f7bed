"""What the month will cost, from the cost of whole days. Pure.

Method, stated beside the number: what was spent so far plus the mean of the last whole days (at most 28) for what is left of the month, with a
prediction interval of Student's t, `r m +- t s sqrt(r + r^2/n)`. Days are taken as independent of each other: a weekly pattern widens it, a trend
is not foreseen. Fewer than `LEAST` whole days give no forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from controlplane.core.weekly import Estimate

LEAST, MOST = 7, 28
METHOD = (
    "spent so far, plus the mean of the last whole days (at most 28) for every day left; Student prediction interval"
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The month's cost in the unit of the days; `days`: whole days it rests on; `reason`: why there is none."""

    month: Estimate
    days: int
    reason: str


def forecast(spent: float, days: Sequence[float], left: float, level: float) -> Forecast:
    """Cost of the month: `spent` so far, `days` the cost of the whole days before (oldest first), `left` days of the month to come (>= 0).

    Raises ValueError for a negative number of days left, or a level outside (0, 1).
    """
    if left < 0.0 or not 0.0 < level < 1.0:
        raise ValueError(
            f"{left} days are left and the level is {level}; give 0 or more days, and a level between 0 and 1"
        )
    known = list(days)[-MOST:]
    n = len(known)
    if left == 0.0:
        return Forecast(Estimate(value=spent, low=spent, high=spent, n=n), n, "")
    if n < LEAST:
        reason = f"{n} whole days of cost are known, a forecast needs {LEAST}"
        return Forecast(Estimate(value=None, n=n), n, reason)
    from scipy.special import stdtrit  # scipy.stats says the same and takes two seconds to load

    mean = sum(known) / n
    spread = sqrt(sum((day - mean) ** 2 for day in known) / (n - 1))
    half = float(stdtrit(n - 1, 0.5 + level / 2.0)) * spread * sqrt(left + left**2 / n)
    value = spent + left * mean
    return Forecast(Estimate(value=value, low=max(value - half, spent), high=value + half, n=n), n, "")
