"""What the month will cost, from the cost of whole days. Pure.

Method, stated beside the number: what was spent so far plus the mean of the last whole days (at most 28) for what is left of the month, with a
prediction interval of Student's t, `r m +- t s sqrt(r + r^2/n)`. Days are taken as independent of each other: a weekly pattern widens it, a trend
is not foreseen. Fewer than `LEAST` whole days give no forecast.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt

from controlplane.core.weekly import Estimate

DAY = timedelta(days=1)
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


@dataclass(frozen=True, slots=True)
class MonthCost:
    """The calendar month (UTC) [`begin`, `end`): `spent` so far, and what it comes to, in the unit of the days."""

    begin: datetime
    end: datetime
    spent: float
    told: Forecast


def of_month(daily: Mapping[date, float], since: datetime, until: datetime, level: float) -> MonthCost:
    """The month in which `until` lies (midnight still belongs to the day before), from the cost per day (UTC) read over [since, until).

    `since` must reach back to the month's begin for `spent` to be whole. Raises ValueError for a level outside (0, 1).
    """
    last = until - timedelta(microseconds=1)
    begin = last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = begin + monthrange(last.year, last.month)[1] * DAY
    spent = sum(cost for day, cost in daily.items() if day >= begin.date())
    return MonthCost(begin, end, spent, forecast(spent, whole_days(daily, since, until), (end - until) / DAY, level))


def whole_days(daily: Mapping[date, float], since: datetime, until: datetime) -> list[float]:
    """Cost of the days that lie whole within [since, until), oldest first; a day without a record cost nothing.

    The first day with a record is left out unless it is the first of the window: the record may have begun at any time of it.
    """
    whole = since.date() if _midnight(since.date()) == since else since.date() + DAY
    known = min((day for day, cost in daily.items() if cost > 0.0), default=None)
    if known is None:
        return []
    first = whole if known <= whole else known + DAY
    return [daily.get(first + i * DAY, 0.0) for i in range((until.date() - first).days)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


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
        reason = f"{n} whole day{'' if n == 1 else 's'} of cost known, a forecast needs {LEAST}"
        return Forecast(Estimate(value=None, n=n), n, reason)
    from scipy.special import stdtrit  # scipy.stats says the same and takes two seconds to load

    mean = sum(known) / n
    spread = sqrt(sum((day - mean) ** 2 for day in known) / (n - 1))
    half = float(stdtrit(n - 1, 0.5 + level / 2.0)) * spread * sqrt(left + left**2 / n)
    value = spent + left * mean
    return Forecast(Estimate(value=value, low=max(value - half, spent), high=value + half, n=n), n, "")
